package dev.podflare.sdk.tools;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.podflare.sdk.Client;
import dev.podflare.sdk.Sandbox;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;

/** A server with one sandbox, whose files are real and whose code does what the test says. */
final class FakeHost implements AutoCloseable {
  private static final String ID = "sbx_0123456789abcdef0123456789abcdef";
  private static final String EXITED = "{\"type\":\"exit\",\"data\":0,\"seq\":1,\"ts\":1,";

  final Map<String, byte[]> files = new ConcurrentHashMap<>();
  final List<String> execs = new CopyOnWriteArrayList<>();
  private final HttpServer server;
  private final Client client;
  private volatile Answer answerToExec =
      new Answer(
          200,
          "{\"type\":\"stdout\",\"data\":\"42\\n\",\"seq\":0,\"ts\":1}\n"
              + EXITED
              + "\"reason\":\"ok\",\"state_kept\":true,\"duration_ms\":1}\n");

  private record Answer(int status, String body) {}

  FakeHost() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", this::serve);
    server.start();
    client =
        Client.builder()
            .host("http://127.0.0.1:" + server.getAddress().getPort())
            .apiKey("pf_live_test")
            .build();
  }

  Sandbox sandbox() {
    return client.connect(ID);
  }

  /** From now on, code is refused so. */
  void refuseCode(int status, String code, String sentence) {
    answerToExec = new Answer(status, refusal(code, sentence));
  }

  @Override
  public void close() {
    client.close();
    server.stop(0);
  }

  private void serve(HttpExchange exchange) throws IOException {
    byte[] body = exchange.getRequestBody().readAllBytes();
    String path = exchange.getRequestURI().getPath();
    if (path.endsWith("/exec")) {
      execs.add(new String(body, StandardCharsets.UTF_8));
      send(exchange, answerToExec.status(), answerToExec.body().getBytes(StandardCharsets.UTF_8));
    } else if (path.endsWith("/files")) {
      String query = exchange.getRequestURI().getRawQuery();
      String name = URLDecoder.decode(query.substring("path=".length()), StandardCharsets.UTF_8);
      serveFile(exchange, name, body);
    } else {
      String info = "{\"id\":\"" + ID + "\",\"state\":\"ready\"}";
      send(exchange, 200, info.getBytes(StandardCharsets.UTF_8));
    }
  }

  private void serveFile(HttpExchange exchange, String name, byte[] body) throws IOException {
    if (exchange.getRequestMethod().equals("PUT")) {
      files.put(name, body);
      String size = "{\"size\":" + body.length + "}";
      send(exchange, 200, size.getBytes(StandardCharsets.UTF_8));
    } else if (files.containsKey(name)) {
      send(exchange, 200, files.get(name));
    } else {
      String refused = refusal("file_not_found", "there is no such file");
      send(exchange, 404, refused.getBytes(StandardCharsets.UTF_8));
    }
  }

  private static String refusal(String code, String sentence) {
    return "{\"error\":\"" + sentence + "\",\"code\":\"" + code + "\",\"hint\":\"h\"}";
  }

  private static void send(HttpExchange exchange, int status, byte[] body) throws IOException {
    exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
    exchange.getResponseBody().write(body);
    exchange.close();
  }
}
