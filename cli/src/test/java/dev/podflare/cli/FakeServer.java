package dev.podflare.cli;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;

/** Answers calls as it was told, and remembers them: what a command asks of a server. */
final class FakeServer implements AutoCloseable {

  private record Answer(int status, String body) {}

  private final HttpServer http;
  private final Map<String, Answer> answers = new ConcurrentHashMap<>();
  private final List<String> calls = new CopyOnWriteArrayList<>();

  FakeServer() throws IOException {
    http = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    http.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    http.createContext("/", this::answer);
    http.start();
  }

  private void answer(HttpExchange exchange) throws IOException {
    String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
    String call = exchange.getRequestMethod() + " " + exchange.getRequestURI();
    calls.add(body.isEmpty() ? call : call + " " + body);
    Answer answer =
        answers.getOrDefault(
            call,
            new Answer(404, "{\"error\":\"not here\",\"code\":\"file_not_found\",\"hint\":\"\"}"));
    byte[] bytes = answer.body().getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(answer.status(), bytes.length == 0 ? -1 : bytes.length);
    exchange.getResponseBody().write(bytes);
    exchange.close();
  }

  FakeServer answering(String call, String body) {
    return answering(call, 200, body);
  }

  FakeServer answering(String call, int status, String body) {
    answers.put(call, new Answer(status, body));
    return this;
  }

  /** What was asked, oldest first: method, path, and the body if there was one. */
  List<String> calls() {
    return List.copyOf(calls);
  }

  /** Runs a command that asks this server. */
  Ended run(String... arguments) {
    List<String> all = new ArrayList<>(Arrays.asList(arguments));
    int end = all.indexOf("--");
    all.addAll(
        end < 0 ? all.size() : end,
        List.of("--server", "http://127.0.0.1:" + http.getAddress().getPort()));
    return Ended.of(all.toArray(String[]::new));
  }

  @Override
  public void close() {
    http.stop(0);
  }
}
