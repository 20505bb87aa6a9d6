package dev.podflare.server;

import dev.podflare.sandbox.Sandboxes;
import io.helidon.common.socket.SocketOptions;
import io.helidon.webserver.WebServer;
import io.helidon.webserver.http.HttpRouting;
import io.helidon.webserver.http1.Http1Config;
import io.helidon.webserver.http1.Http1ConnectionSelector;
import java.io.IOException;
import java.net.BindException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;

/** The API on a port, from {@link #start} to {@link #close}. Safe for use by many threads. */
public final class HttpServer implements AutoCloseable {

  /** Longest request line: a path parameter of 4096 characters, each percent-encoded as UTF-8. */
  private static final int MAX_REQUEST_LINE = 64 * 1024;

  private static final int MAX_HEADERS = 32 * 1024;

  /** How long a client may neither send nor take a byte; it may wait for an exec for ever. */
  private static final Duration STALL_LIMIT = Duration.ofMinutes(5);

  /** Longer than any exec: {@link StallWatch} takes the place of the web server's own timeout. */
  private static final Duration NEVER = Duration.ofDays(365);

  private final WebServer server;
  private final StallWatch stalls;
  private final InetSocketAddress address;

  private HttpServer(WebServer server, StallWatch stalls, InetSocketAddress address) {
    this.server = server;
    this.stalls = stalls;
    this.address = address;
  }

  /**
   * Starts to serve.
   *
   * @param mounts what other modules answer beside the API
   * @throws IOException if the address can't be used; the message is a sentence for the operator
   */
  public static HttpServer start(ServerConfig config, Sandboxes sandboxes, List<Mount> mounts)
      throws IOException {
    return start(config, sandboxes, mounts, STALL_LIMIT, Heartbeat.USUAL);
  }

  static HttpServer start(
      ServerConfig config,
      Sandboxes sandboxes,
      List<Mount> mounts,
      Duration stallLimit,
      Heartbeat heartbeat)
      throws IOException {
    ServerMetrics metrics = new ServerMetrics(sandboxes);
    Router router =
        new Router(
            Stream.concat(
                    routes(sandboxes, metrics, heartbeat).stream(),
                    mounts.stream().map(MountedRequest::routes).flatMap(List::stream))
                .toList());
    Admission admission = new Admission(config.keys());
    Api api = new Api(router, admission, metrics);
    TerminalUpgrade terminals =
        new TerminalUpgrade(
            router,
            admission,
            new TerminalRoutes(sandboxes, new Ownership(sandboxes)),
            metrics,
            stallLimit);
    requireFree(config.address());
    StallWatch stalls = new StallWatch(stallLimit);
    WebServer server = webServer(config.address(), api, terminals, stalls).start();
    if (!server.isRunning()) {
      stalls.close();
      throw unusable(config.address(), "the web server did not start, and its log says why");
    }
    return new HttpServer(
        server, stalls, new InetSocketAddress(config.address().getAddress(), server.port()));
  }

  static List<Route> routes(Sandboxes sandboxes, ServerMetrics metrics) {
    return routes(sandboxes, metrics, Heartbeat.USUAL);
  }

  private static List<Route> routes(
      Sandboxes sandboxes, ServerMetrics metrics, Heartbeat heartbeat) {
    Ownership ownership = new Ownership(sandboxes);
    return Stream.of(
            new ExecRoutes(sandboxes, ownership, metrics, heartbeat).routes(),
            new SandboxRoutes(sandboxes, ownership, metrics).routes(),
            new FileRoutes(sandboxes, ownership).routes(),
            new ForkRoutes(sandboxes, ownership, metrics).routes(),
            new DiffRoutes(sandboxes, ownership).routes(),
            new MergeRoutes(sandboxes, ownership, metrics).routes(),
            new SpaceRoutes(sandboxes, ownership, metrics).routes(),
            new TerminalRoutes(sandboxes, ownership).routes(),
            new TemplateRoutes(sandboxes, metrics, heartbeat).routes(),
            new HostRoutes(sandboxes, metrics).routes())
        .flatMap(List::stream)
        .toList();
  }

  /** The web server would only log why an address can't be used. */
  private static void requireFree(InetSocketAddress address) throws IOException {
    try (ServerSocket probe = new ServerSocket()) {
      probe.bind(address);
    } catch (BindException e) {
      throw unusable(address, String.valueOf(e.getMessage()));
    }
  }

  private static IOException unusable(InetSocketAddress address, String reason) {
    return new IOException(
        "Can't listen on %s:%d: %s. Is another server running there?"
            .formatted(address.getAddress().getHostAddress(), address.getPort(), reason));
  }

  private static WebServer webServer(
      InetSocketAddress address, Api api, TerminalUpgrade terminals, StallWatch stalls) {
    Http1Config http1 =
        Http1Config.builder()
            .maxPrologueLength(MAX_REQUEST_LINE)
            .maxHeadersSize(MAX_HEADERS)
            .validatePath(false)
            .validatePrologue(false)
            .build();
    return WebServer.builder()
        .bindAddress(address)
        .addConnectionSelector(
            new GuardedConnections(
                Http1ConnectionSelector.builder().config(http1).addUpgrader(terminals).build(),
                stalls))
        .addProtocol(TerminalUpgrade.config())
        .protocolsDiscoverServices(false)
        .featuresDiscoverServices(false)
        .shutdownHook(false)
        .idleConnectionTimeout(NEVER)
        .directHandlers(TransportErrors.handlers())
        .connectionOptions(SocketOptions.builder().tcpNoDelay(true).build())
        // Every write is a batch of its own already.
        .writeBufferSize(0)
        .routing(HttpRouting.builder().any(api))
        .build();
  }

  /** Where it listens, with the port that was taken. */
  public InetSocketAddress address() {
    return address;
  }

  /** Takes no more calls, lets running ones end for half a second, and cuts the rest. */
  @Override
  public void close() {
    server.stop();
    stalls.close();
  }
}
