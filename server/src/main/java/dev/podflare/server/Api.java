package dev.podflare.server;

import io.helidon.http.HeaderNames;
import io.helidon.http.HeaderValues;
import io.helidon.http.Status;
import io.helidon.webserver.CloseConnectionException;
import io.helidon.webserver.ServerConnectionException;
import io.helidon.webserver.http.Handler;
import io.helidon.webserver.http.RoutingResponse;
import io.helidon.webserver.http.ServerRequest;
import io.helidon.webserver.http.ServerResponse;
import io.helidon.webserver.websocket.WsUpgrader;
import java.io.IOException;
import java.util.HexFormat;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Takes a request from its head to the end of its answer: gives it an id, lets it in or not, finds
 * its route, turns what fails into an answer, counts it and logs it.
 *
 * <p>It is the web server's only handler, and routes by itself. So the table of routes is data that
 * a test compares with the API's description, a wrong method is answered 405 with what is allowed,
 * and no path is decoded or normalized before it is compared.
 */
final class Api implements Handler {

  private static final System.Logger LOG = System.getLogger(Api.class.getName());
  private static final String NO_ROUTE = "none";

  /** How much of an unread body is read only to be dropped; a longer one costs the connection. */
  private static final long MOST_DROPPED_BYTES = 4 << 20;

  /**
   * How much is still read after an answer that ends the connection. Most clients send a whole
   * upload before they read, so a shorter limit would cut off the very answer that says why it was
   * refused.
   */
  private static final long MOST_DROPPED_AT_END = 1L << 30;

  private final Router router;
  private final Admission admission;
  private final ServerMetrics metrics;

  Api(Router router, Admission admission, ServerMetrics metrics) {
    this.router = router;
    this.admission = admission;
    this.metrics = metrics;
  }

  static String newRequestId() {
    return "req_" + HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextLong());
  }

  @Override
  public void handle(ServerRequest request, ServerResponse response) {
    long begin = System.nanoTime();
    String requestId = newRequestId();
    response.header(Call.REQUEST_ID, requestId);
    String method = request.prologue().method().text();
    Router.Match match = router.find(method, request.prologue().uriPath().rawPath());
    RequestBytes body = new RequestBytes(request.content());
    try {
      answerOrFail(match, requestId, request, body, response);
    } catch (ServerConnectionException e) {
      LOG.log(System.Logger.Level.DEBUG, requestId + ": the client went away", e);
      throw new CloseConnectionException("the client went away", e);
    } catch (CloseConnectionException e) {
      LOG.log(System.Logger.Level.DEBUG, requestId + " was cut", e);
      throw e;
    } finally {
      long nanos = System.nanoTime() - begin;
      String route = routeOf(match);
      int status = response.status().code();
      // A client may invent methods, and each would be a new label that is kept for ever.
      metrics.answered(match instanceof Router.Found ? method : "other", route, status, nanos);
      LOG.log(
          System.Logger.Level.DEBUG,
          () ->
              "id=%s method=%s route=%s status=%d ms=%.3f"
                  .formatted(requestId, method, route, status, nanos / 1e6));
    }
    closeIfAgreed(requestId, request, body, response);
  }

  private void answerOrFail(
      Router.Match match,
      String requestId,
      ServerRequest request,
      RequestBytes body,
      ServerResponse response) {
    try {
      answer(match, request, body, response);
    } catch (CloseConnectionException e) {
      throw e;
    } catch (Exception e) {
      // With the thread's interrupt still pending, the answer could not be written.
      boolean interrupted = Thread.interrupted() || e instanceof InterruptedException;
      fail(e, requestId, request, response);
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
    if (response instanceof RoutingResponse begun) {
      begun.commit();
    }
  }

  private void answer(
      Router.Match match, ServerRequest request, RequestBytes body, ServerResponse response)
      throws Exception {
    admission.requireOwnSite(request.headers());
    if (match instanceof Router.Found found && found.route().open()) {
      found.route().endpoint().answer(new Call(request, body, response, "", found.parameters()));
      return;
    }
    String owner = admission.ownerOf(request.headers());
    switch (match) {
      case Router.Found found ->
          found
              .route()
              .endpoint()
              .answer(new Call(request, body, response, owner, found.parameters()));
      case Router.WrongMethod wrong -> {
        response.header(HeaderNames.ALLOW, wrong.allowed());
        throw ApiError.of(
            ErrorCode.METHOD_NOT_ALLOWED,
            "This path does not answer that method.",
            "Use one of: " + wrong.allowed() + ".");
      }
      case Router.Nowhere _ ->
          throw ApiError.of(
              ErrorCode.NOT_FOUND,
              "There is nothing at this path.",
              "GET /openapi.yaml describes every path.");
    }
  }

  private static void fail(
      Exception failure, String requestId, ServerRequest request, ServerResponse response) {
    ErrorResponse error = ErrorResponse.of(failure, requestId);
    if (error.logged()) {
      LOG.log(System.Logger.Level.ERROR, requestId + " failed: " + error.error(), failure);
    }
    if (!(response instanceof RoutingResponse begun && begun.resetStream())) {
      throw new CloseConnectionException(
          requestId + " failed in the middle of its answer", failure);
    }
    response.headers().remove(HeaderNames.CONTENT_LENGTH);
    response.status(Status.create(error.status()));
    response.header(HeaderNames.CONTENT_TYPE, "application/json");
    if (error.status() == 401) {
      response.header(HeaderNames.WWW_AUTHENTICATE, "Bearer");
    }
    if (error.status() == 426) {
      response.header(HeaderNames.UPGRADE, "websocket");
      response.header(WsUpgrader.WS_VERSION, "13");
    }
    if (error.status() == 429) {
      response.header(HeaderNames.RETRY_AFTER, "1");
    }
    if (leavesMuchUnread(request)) {
      response.header(HeaderValues.CONNECTION_CLOSE);
    }
    response.send(Json.bytes(error::writeTo));
  }

  /** A shorter body is read and dropped by the web server, and the connection goes on. */
  private static boolean leavesMuchUnread(ServerRequest request) {
    return request.content().hasEntity()
        && !request.content().consumed()
        && (!request.continueSent()
            || request.headers().contentLength().orElse(Long.MAX_VALUE) > MOST_DROPPED_BYTES);
  }

  /**
   * Closes the connection if the client or the answer said so; the web server does not. Bytes that
   * are still on their way are dropped first, because a close would else overtake the answer.
   */
  private static void closeIfAgreed(
      String requestId, ServerRequest request, RequestBytes body, ServerResponse response) {
    if (!response.headers().containsToken(HeaderValues.CONNECTION_CLOSE)) {
      return;
    }
    if (request.content().hasEntity() && request.continueSent()) {
      try {
        body.drop(MOST_DROPPED_AT_END);
      } catch (IOException e) {
        LOG.log(System.Logger.Level.DEBUG, requestId + ": the client did not wait", e);
      }
    }
    throw new CloseConnectionException("one side asked for it");
  }

  private static String routeOf(Router.Match match) {
    return switch (match) {
      case Router.Found found -> found.route().path();
      case Router.WrongMethod wrong -> wrong.path();
      case Router.Nowhere _ -> NO_ROUTE;
    };
  }
}
