package dev.podflare.server;

import io.helidon.http.DirectHandler;
import io.helidon.http.HeaderNames;
import io.helidon.http.ServerResponseHeaders;
import io.helidon.http.Status;
import io.helidon.webserver.http.DirectHandlers;

/**
 * Answers, in the same form as all other errors, what the web server refuses before it is a
 * request: lines that are no HTTP, endless headers, lengths that contradict each other.
 */
final class TransportErrors implements DirectHandler {

  private static final System.Logger LOG = System.getLogger(TransportErrors.class.getName());

  private TransportErrors() {}

  static DirectHandlers handlers() {
    DirectHandlers.Builder handlers = DirectHandlers.builder();
    TransportErrors errors = new TransportErrors();
    for (EventType type : EventType.values()) {
      handlers.addHandler(type, errors);
    }
    return handlers.build();
  }

  @Override
  public TransportResponse handle(
      TransportRequest request,
      EventType type,
      Status suggested,
      ServerResponseHeaders headers,
      String message) {
    String requestId = Api.newRequestId();
    LOG.log(
        System.Logger.Level.DEBUG,
        () -> "id=%s refused before routing: %s".formatted(requestId, message));
    ErrorResponse error = ErrorResponse.of(refusal(suggested));
    return TransportResponse.builder()
        .status(Status.create(error.status()))
        .headers(headers)
        .header(Call.REQUEST_ID, requestId)
        .header(HeaderNames.CONTENT_TYPE, "application/json")
        .keepAlive(false)
        .entity(Json.bytes(error::writeTo))
        .build();
  }

  /**
   * Even what the web server calls its own error is the client's here: bytes that end in the middle
   * of a head, for nothing of the API has run yet.
   */
  private static ApiError refusal(Status suggested) {
    return switch (suggested.code()) {
      case 414 ->
          ApiError.of(
              ErrorCode.URI_TOO_LONG, "The request line is too long.", "Send data in the body.");
      case 505 ->
          ApiError.of(
              ErrorCode.HTTP_VERSION, "Only HTTP/1.1 is spoken here.", "Use an HTTP/1.1 client.");
      default ->
          ApiError.of(
              ErrorCode.BAD_REQUEST,
              "The request is not valid HTTP/1.1.",
              "Compare its first line, its headers and its length with the API's description.");
    };
  }
}
