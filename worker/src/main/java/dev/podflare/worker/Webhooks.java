package dev.podflare.worker;

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.time.InstantSource;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;

/**
 * An address at which the provider tells that a session has begun to run, so that its work is
 * fetched at once. A delivery says nothing more than that: what there is to do comes from the queue
 * alone.
 */
final class Webhooks implements AutoCloseable {
  private static final Logger LOG = System.getLogger(Webhooks.class.getPackageName());

  private static final String PATH = "/webhook";
  private static final String RUN_STARTED = "session.status_run_started";

  /** A delivery holds a type and an id. */
  private static final int LONGEST = 64 << 10;

  private static final Duration BETWEEN_WARNINGS = Duration.ofMinutes(1);
  private static final int MOST_WAITING = 64;
  private static final int ACCEPTED = 204;
  private static final int UNAUTHORIZED = 401;
  private static final int NOT_FOUND = 404;
  private static final int NOT_ALLOWED = 405;
  private static final int TOO_LARGE = 413;
  private static final int BAD = 400;

  static {
    // The server of the JDK has its limits here: seconds for a request, and for its answer; and
    // connections at once.
    System.setProperty("sun.net.httpserver.maxReqTime", "10");
    System.setProperty("sun.net.httpserver.maxRspTime", "10");
    System.setProperty("sun.net.httpserver.maxReqHeaders", "64");
    System.setProperty("jdk.httpserver.maxConnections", "64");
  }

  private final HttpServer server;
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final WebhookDeliveries deliveries;
  private final Runnable onRunStarted;
  private final AtomicLong lastWarning =
      new AtomicLong(System.nanoTime() - BETWEEN_WARNINGS.toNanos());

  /**
   * Begins to listen.
   *
   * @throws IOException the address can't be listened at
   */
  Webhooks(WebhookEndpoint endpoint, InstantSource clock, Runnable onRunStarted)
      throws IOException {
    this.deliveries = new WebhookDeliveries(endpoint.key(), clock);
    this.onRunStarted = onRunStarted;
    this.server = HttpServer.create(endpoint.address(), MOST_WAITING);
    server.setExecutor(threads);
    server.createContext("/", this::handle);
    server.start();
    LOG.log(
        Level.INFO,
        "webhooks are taken at http://{0}:{1}{2}",
        server.getAddress().getHostString(),
        String.valueOf(server.getAddress().getPort()),
        PATH);
  }

  int port() {
    return server.getAddress().getPort();
  }

  @Override
  public void close() {
    server.stop(0);
    threads.shutdownNow();
  }

  private void handle(HttpExchange exchange) throws IOException {
    try (exchange) {
      exchange.sendResponseHeaders(status(exchange), -1);
    }
  }

  private int status(HttpExchange exchange) throws IOException {
    if (!exchange.getRequestURI().getPath().equals(PATH)) {
      return NOT_FOUND;
    } else if (!exchange.getRequestMethod().equals("POST")) {
      return NOT_ALLOWED;
    }
    byte[] body;
    try (InputStream in = exchange.getRequestBody()) {
      body = in.readNBytes(LONGEST + 1);
    }
    if (body.length > LONGEST) {
      return TOO_LARGE;
    }
    Headers headers = exchange.getRequestHeaders();
    return switch (deliveries.judge(
        header(headers, "webhook-id"),
        header(headers, "webhook-timestamp"),
        header(headers, "webhook-signature"),
        body)) {
      case NEW -> take(body);
      case REPEATED -> ACCEPTED;
      case REFUSED -> {
        warn();
        yield UNAUTHORIZED;
      }
    };
  }

  /** Once in a while: anybody may send anything here. */
  private void warn() {
    long now = System.nanoTime();
    long last = lastWarning.get();
    if (now - last >= BETWEEN_WARNINGS.toNanos() && lastWarning.compareAndSet(last, now)) {
      LOG.log(
          Level.WARNING,
          "a webhook was refused: its signature is not that of the key, or its time is more than"
              + " five minutes off; see that the key is the webhook's, and the clock is right");
    }
  }

  private int take(byte[] body) {
    try {
      String type = Json.read(body).path("data").path("type").asString("");
      LOG.log(Level.DEBUG, "webhook: {0}", Json.said(type));
      if (type.equals(RUN_STARTED)) {
        onRunStarted.run();
      }
      return ACCEPTED;
    } catch (ProviderException noJson) {
      return BAD;
    }
  }

  private static String header(Headers headers, String name) {
    String value = headers.getFirst(name);
    return value == null ? "" : value;
  }
}
