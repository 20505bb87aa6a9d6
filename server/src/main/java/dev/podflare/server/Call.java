package dev.podflare.server;

import dev.podflare.sandbox.Answered;
import dev.podflare.sandbox.OnceKey;
import dev.podflare.sandbox.SandboxId;
import dev.podflare.sandbox.SpaceId;
import dev.podflare.sandbox.TerminalId;
import io.helidon.http.Header;
import io.helidon.http.HeaderName;
import io.helidon.http.HeaderNames;
import io.helidon.http.HeaderValues;
import io.helidon.http.Status;
import io.helidon.webserver.http.ServerRequest;
import io.helidon.webserver.http.ServerResponse;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import tools.jackson.core.JsonGenerator;

/** One request that was let in, and its answer. */
final class Call {

  static final HeaderName REQUEST_ID = HeaderNames.create("X-Request-Id");

  private static final HeaderName IDEMPOTENCY_KEY = HeaderNames.create("Idempotency-Key");
  private static final Pattern KEY_FORM = Pattern.compile("[!-~]{1,255}");
  private static final Header REPLAYED = HeaderValues.createCached("Idempotency-Replayed", "true");
  private static final Header JSON = HeaderValues.createCached("Content-Type", "application/json");

  private final ServerRequest request;
  private final RequestBytes bytes;
  private final ServerResponse response;
  private final String owner;
  private final Map<String, String> parameters;

  /**
   * @param owner whose sandboxes it may see
   * @param parameters what stands in its path, unchecked, by the names of its route
   */
  Call(
      ServerRequest request,
      RequestBytes bytes,
      ServerResponse response,
      String owner,
      Map<String, String> parameters) {
    this.request = request;
    this.bytes = bytes;
    this.response = response;
    this.owner = owner;
    this.parameters = Map.copyOf(parameters);
  }

  String owner() {
    return owner;
  }

  /**
   * The sandbox that stands in the path under a name.
   *
   * @throws ApiError 404 if what stands there is no id
   */
  SandboxId sandboxId(String parameter) {
    return parameter(parameter).flatMap(SandboxId::parse).orElseThrow(ApiError::noSandbox);
  }

  /**
   * The Space that stands in the path under a name.
   *
   * @throws ApiError 404 if what stands there is no id
   */
  SpaceId spaceId(String parameter) {
    return parameter(parameter).flatMap(SpaceId::parse).orElseThrow(ApiError::noSpace);
  }

  /**
   * The terminal that stands in the path under a name.
   *
   * @throws ApiError 404 if what stands there is no id
   */
  TerminalId terminalId(String parameter) {
    return parameter(parameter).flatMap(TerminalId::parse).orElseThrow(ApiError::noTerminal);
  }

  /** What stands in the path under a name, unchecked. */
  Optional<String> parameter(String name) {
    return Optional.ofNullable(parameters.get(name));
  }

  Query query() {
    return Query.of(request.prologue().query().rawValue());
  }

  /**
   * Reads the request's JSON.
   *
   * @throws ApiError 400, 413 or 415 for a body that is not a JSON object of at most 1 MiB
   */
  RequestBody body() {
    if (!request.content().hasEntity()) {
      return RequestBody.read(new byte[0]);
    }
    requireJson();
    if (contentLength().orElse(0) > RequestBody.MAX_BYTES) {
      throw tooLarge();
    }
    byte[] bytes = readAtMost(RequestBody.MAX_BYTES + 1);
    if (bytes.length > RequestBody.MAX_BYTES) {
      throw tooLarge();
    }
    return RequestBody.read(bytes);
  }

  /**
   * What the request's {@code Idempotency-Key} makes of it; empty if it has none.
   *
   * @param body what it says
   * @throws ApiError 400 for a key that is none
   */
  Optional<OnceKey> once(RequestBody body) {
    List<String> given = request.headers().all(IDEMPOTENCY_KEY, List::of);
    if (given.isEmpty()) {
      return Optional.empty();
    }
    if (given.size() > 1 || !KEY_FORM.matcher(given.getFirst()).matches()) {
      throw ApiError.of(
          ErrorCode.BAD_IDEMPOTENCY_KEY,
          "The header Idempotency-Key is no key, or is there more than once.",
          "Send 1 to 255 visible ASCII characters, such as a random UUID.");
    }
    return Optional.of(
        new OnceKey(
            owner, request.prologue().uriPath().rawPath(), given.getFirst(), body.digest()));
  }

  /** A header of the request; its first value, if there are several. */
  Optional<String> header(String name) {
    return request.headers().first(HeaderNames.create(name));
  }

  /** The key that was shown, checked or not. */
  Optional<String> key() {
    return Admission.keyIn(request.headers());
  }

  /** This server's end of the connection. */
  InetSocketAddress reachedAt() {
    return (InetSocketAddress) request.localPeer().address();
  }

  /**
   * Reads the request's body, whatever it is.
   *
   * @throws ApiError 413 if it is longer
   */
  byte[] body(int atMost) {
    if (!request.content().hasEntity()) {
      return new byte[0];
    }
    boolean tooLong = contentLength().orElse(0) > atMost;
    byte[] content = tooLong ? new byte[0] : readAtMost(atMost + 1);
    if (tooLong || content.length > atMost) {
      throw ApiError.of(
          ErrorCode.BODY_TOO_LARGE,
          "The body is longer than " + (atMost >> 20) + " MiB.",
          "Send less at once.");
    }
    return content;
  }

  /** The request's body as it comes. */
  RequestBytes bytes() {
    return bytes;
  }

  void json(Consumer<JsonGenerator> value) {
    json(Status.OK_200, value);
  }

  void json(Status status, Consumer<JsonGenerator> value) {
    response.status(status);
    response.header(JSON);
    response.send(Json.bytes(value));
  }

  /** Gives the answer a header, before anything of it is written. */
  void header(HeaderName name, String value) {
    response.header(name, value);
  }

  /** Answers what a call has made that may have been made before, and says if it was. */
  void json(Answered<?> made, Consumer<JsonGenerator> value) {
    if (made.before()) {
      response.header(REPLAYED);
    }
    json(value);
  }

  void bytes(String contentType, byte[] content) {
    response.header(HeaderNames.CONTENT_TYPE, contentType);
    response.send(content);
  }

  void answer(Status status, Map<String, String> headers, byte[] content) {
    response.status(status);
    headers.forEach((name, value) -> response.header(HeaderNames.create(name), value));
    response.send(content);
  }

  void noContent() {
    response.status(Status.NO_CONTENT_204);
    response.send();
  }

  /**
   * Starts an answer that is written piece by piece.
   *
   * @param length its length, if it is known
   */
  OutputStream stream(String contentType, OptionalLong length) {
    response.header(HeaderNames.CONTENT_TYPE, contentType);
    length.ifPresent(bytes -> response.header(HeaderNames.CONTENT_LENGTH, String.valueOf(bytes)));
    return response.outputStream();
  }

  OutputStream stream(Status status, Map<String, String> headers) {
    response.status(status);
    headers.forEach((name, value) -> response.header(HeaderNames.create(name), value));
    return response.outputStream();
  }

  private byte[] readAtMost(int length) {
    try {
      return bytes.readNBytes(length);
    } catch (IOException e) {
      throw bytes.refusal().orElseThrow(() -> new UncheckedIOException(e));
    }
  }

  private OptionalLong contentLength() {
    return request.headers().contentLength();
  }

  private void requireJson() {
    Optional<String> type = request.headers().first(HeaderNames.CONTENT_TYPE);
    if (type.isEmpty()) {
      return;
    }
    String text = type.get().toLowerCase(Locale.ROOT).replace(" ", "").replace("\"", "");
    if (!text.equals("application/json") && !text.equals("application/json;charset=utf-8")) {
      throw ApiError.of(
          ErrorCode.UNSUPPORTED_MEDIA_TYPE,
          "The body's Content-Type must be application/json.",
          "Send the header Content-Type: application/json.");
    }
  }

  private static ApiError tooLarge() {
    return ApiError.of(
        ErrorCode.BODY_TOO_LARGE,
        "The JSON body is longer than 1 MiB.",
        "Store large data as a file with PUT /v1/sandboxes/{id}/files, and read it from the code.");
  }
}
