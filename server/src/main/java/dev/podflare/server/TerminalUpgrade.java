package dev.podflare.server;

import dev.podflare.sandbox.TerminalStream;
import io.helidon.common.buffers.BufferData;
import io.helidon.common.concurrency.limits.Limit;
import io.helidon.http.HeaderNames;
import io.helidon.http.HeaderValues;
import io.helidon.http.HttpPrologue;
import io.helidon.http.ServerRequestHeaders;
import io.helidon.http.Status;
import io.helidon.http.WritableHeaders;
import io.helidon.webserver.CloseConnectionException;
import io.helidon.webserver.ConnectionContext;
import io.helidon.webserver.spi.ServerConnection;
import io.helidon.webserver.websocket.WsConfig;
import io.helidon.webserver.websocket.WsConnection;
import io.helidon.webserver.websocket.WsUpgrader;
import io.helidon.websocket.WsCloseCodes;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;

/**
 * Turns a connection into a WebSocket for a terminal.
 *
 * <p>The web server asks this before it routes a request, so whoever is let in here has not been
 * through {@link Api}: the same questions are asked, in the same order, and a refusal is the same
 * answer. What is no handshake of RFC 6455 goes on to the router, which says what is wanted.
 */
final class TerminalUpgrade extends WsUpgrader {

  /** Longest frame of a client. */
  private static final int MAX_FRAME = 1 << 20;

  private static final System.Logger LOG = System.getLogger(TerminalUpgrade.class.getName());
  private static final String PROTOCOL_NAME = "podflare";
  private static final int KEY_BYTES = 16;
  private static final int PINGS_PER_STALL = 5;

  private final Router router;
  private final Admission admission;
  private final TerminalRoutes terminals;
  private final ServerMetrics metrics;
  private final Duration pingAfter;

  /**
   * @param stallLimit how long a client may neither send nor take a byte
   */
  TerminalUpgrade(
      Router router,
      Admission admission,
      TerminalRoutes terminals,
      ServerMetrics metrics,
      Duration stallLimit) {
    super(config());
    this.router = router;
    this.admission = admission;
    this.terminals = terminals;
    this.metrics = metrics;
    this.pingAfter = stallLimit.dividedBy(PINGS_PER_STALL);
  }

  static WsConfig config() {
    return WsConfig.builder().maxFrameLength(MAX_FRAME).build();
  }

  /**
   * @return null for a request that is no handshake for a terminal
   */
  @Override
  @SuppressWarnings("NullAway") // The web server's way to say no, which it has not annotated.
  public ServerConnection upgrade(
      ConnectionContext context, HttpPrologue prologue, WritableHeaders<?> written) {
    ServerRequestHeaders headers = ServerRequestHeaders.create(written);
    Router.Match match = router.find(prologue.method().text(), prologue.uriPath().rawPath());
    if (!(match instanceof Router.Found found)
        || !found.route().path().equals(TerminalRoutes.PTY)
        || !isHandshake(headers)) {
      return null;
    }
    long begin = System.nanoTime();
    String requestId = Api.newRequestId();
    try {
      TerminalStream terminal = open(prologue, headers, found);
      return connected(context, prologue, headers, requestId, terminal, begin);
    } catch (CloseConnectionException e) {
      throw e;
    } catch (RuntimeException e) {
      ErrorResponse error = ErrorResponse.of(e, requestId);
      if (error.logged()) {
        LOG.log(System.Logger.Level.ERROR, requestId + " failed: " + error.error(), e);
      }
      count(requestId, error.status(), begin);
      answer(context, requestId, error);
      throw new CloseConnectionException(requestId + ": no terminal", e);
    }
  }

  private TerminalStream open(
      HttpPrologue prologue, ServerRequestHeaders headers, Router.Found found) {
    admission.requireOwnSite(headers);
    String owner = admission.ownerOf(headers, offered(headers));
    return terminals.open(
        owner, found.parameters().getOrDefault("id", ""), Query.of(prologue.query().rawValue()));
  }

  private ServerConnection connected(
      ConnectionContext context,
      HttpPrologue prologue,
      ServerRequestHeaders headers,
      String requestId,
      TerminalStream terminal,
      long begin) {
    boolean connected = false;
    try {
      String key = headers.get(WS_KEY).get();
      StringBuilder head =
          new StringBuilder(SWITCHING_PROTOCOL_PREFIX)
              .append(hash(context, key))
              .append("\r\n")
              .append(Call.REQUEST_ID.defaultCase())
              .append(": ")
              .append(requestId);
      if (offered(headers).contains(PROTOCOL_NAME)) {
        head.append("\r\n").append(PROTOCOL.defaultCase()).append(": ").append(PROTOCOL_NAME);
      }
      write(context, head.append(SWITCHING_PROTOCOLS_SUFFIX).toString());
      count(requestId, Status.SWITCHING_PROTOCOLS_101.code(), begin);
      WsConnection socket =
          WsConnection.create(
              context, prologue, headers, key, new TerminalSocket(terminal, pingAfter, metrics));
      connected = true;
      return new Connection(socket, terminal, metrics);
    } finally {
      if (!connected) {
        terminal.close();
      }
    }
  }

  private static boolean isHandshake(ServerRequestHeaders headers) {
    return headers.containsToken(HeaderValues.create(HeaderNames.CONNECTION, "upgrade"))
        && headers.first(WS_VERSION).map(SUPPORTED_VERSION::equals).orElse(false)
        && headers.first(WS_KEY).map(TerminalUpgrade::isKey).orElse(false);
  }

  private static boolean isKey(String text) {
    try {
      return Base64.getDecoder().decode(text).length == KEY_BYTES;
    } catch (IllegalArgumentException e) {
      return false;
    }
  }

  /** The subprotocols that the client knows. */
  private static List<String> offered(ServerRequestHeaders headers) {
    return headers.contains(PROTOCOL)
        ? headers.get(PROTOCOL).allValues().stream()
            .flatMap(value -> Arrays.stream(value.split(",")))
            .map(String::strip)
            .toList()
        : List.of();
  }

  private void count(String requestId, int status, long begin) {
    metrics.answered("GET", TerminalRoutes.PTY, status, System.nanoTime() - begin);
    LOG.log(
        System.Logger.Level.DEBUG,
        () -> "id=%s terminal upgrade status=%d".formatted(requestId, status));
  }

  private static void answer(ConnectionContext context, String requestId, ErrorResponse error) {
    byte[] body = Json.bytes(error::writeTo);
    String head =
        "HTTP/1.1 %d %s\r\n%s: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
            .formatted(
                error.status(),
                Status.create(error.status()).reasonPhrase(),
                Call.REQUEST_ID.defaultCase(),
                requestId,
                body.length);
    write(
        context,
        head
            + (error.status() == 401 ? "WWW-Authenticate: Bearer\r\n" : "")
            + "Connection: close\r\n\r\n"
            + new String(body, StandardCharsets.UTF_8));
  }

  private static void write(ConnectionContext context, String text) {
    context.dataWriter().writeNow(BufferData.create(text.getBytes(StandardCharsets.UTF_8)));
  }

  /** The WebSocket, whose terminal is left when it ends, however it does. */
  private record Connection(WsConnection socket, TerminalStream terminal, ServerMetrics metrics)
      implements ServerConnection {

    @Override
    public void handle(Limit limit) {
      metrics.terminalAttached();
      try {
        socket.handle(limit);
      } finally {
        metrics.terminalLeft();
        terminal.close();
      }
    }

    @Override
    public Duration idleTime() {
      return socket.idleTime();
    }

    @Override
    public void close(boolean interrupt) {
      try {
        socket.close(WsCloseCodes.GOING_AWAY, "The server stops.");
      } catch (RuntimeException gone) {
        LOG.log(System.Logger.Level.DEBUG, "a terminal's client did not hear the end", gone);
      }
      socket.close(interrupt);
    }
  }
}
