package dev.podflare.worker;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.jspecify.annotations.Nullable;

/** Answers requests one after the other as it is told, and keeps what they were. */
final class ScriptedProvider implements AutoCloseable {
  /** What was asked. */
  record Asked(
      String method, String target, String credential, @Nullable String preview, String body) {}

  private record Reply(int status, String body, String retryAfter) {}

  private final HttpServer server;
  private final Queue<Reply> replies = new ConcurrentLinkedQueue<>();
  private final List<Asked> asked = Collections.synchronizedList(new ArrayList<>());

  ScriptedProvider() {
    try {
      server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    server.createContext("/", this::answer);
    server.start();
  }

  ScriptedProvider then(int status, String body) {
    replies.add(new Reply(status, body, ""));
    return this;
  }

  ScriptedProvider then(int status, String body, String retryAfter) {
    replies.add(new Reply(status, body, retryAfter));
    return this;
  }

  ProviderAddress address() {
    return ProviderAddress.of(
        "http://127.0.0.1:" + server.getAddress().getPort() + "/base/", false, null);
  }

  List<Asked> asked() {
    return List.copyOf(asked);
  }

  private void answer(HttpExchange exchange) throws IOException {
    byte[] sent = exchange.getRequestBody().readAllBytes();
    asked.add(
        new Asked(
            exchange.getRequestMethod(),
            exchange.getRequestURI().toString(),
            exchange.getRequestHeaders().getFirst("Authorization"),
            exchange.getRequestHeaders().getFirst("anthropic-beta"),
            new String(sent, StandardCharsets.UTF_8)));
    Reply reply = replies.poll();
    if (reply == null) {
      exchange.close(); // As a connection that breaks.
      return;
    }
    if (!reply.retryAfter().isEmpty()) {
      exchange.getResponseHeaders().add("Retry-After", reply.retryAfter());
    }
    byte[] body = reply.body().getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(reply.status(), body.length == 0 ? -1 : body.length);
    exchange.getResponseBody().write(body);
    exchange.close();
  }

  @Override
  public void close() {
    server.stop(0);
  }
}
