package dev.podflare.mcp;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.podflare.server.MountedCall;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The REST API as far as the tools use it, and a mount beside it, on the JDK's web server. What
 * code does is a script: its first word says which.
 */
final class FakePodflare implements AutoCloseable {

  static final String KEY = "pf_live_one";
  static final String OTHER_KEY = "pf_live_two";

  private static final JsonMapper JSON = JsonMapper.shared();

  final Map<String, JsonNode> created = new ConcurrentHashMap<>();
  final List<String> interrupts = new CopyOnWriteArrayList<>();
  final List<JsonNode> execs = new CopyOnWriteArrayList<>();
  private final Map<String, Map<String, byte[]>> files = new ConcurrentHashMap<>();
  private final Map<String, CountDownLatch> sleepers = new ConcurrentHashMap<>();
  private final AtomicInteger count = new AtomicInteger();
  private final HttpServer server;
  private final Map<String, String> parents = new ConcurrentHashMap<>();
  private volatile McpMount mount;

  FakePodflare() throws IOException {
    this(McpMount.of("1.2.3", SessionStore.inMemory(), InstantSource.system()));
  }

  FakePodflare(McpMount mount) throws IOException {
    this.mount = mount;
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.createContext("/v1/", this::answer);
    server.createContext("/mcp", this::mounted);
    server.start();
  }

  String url() {
    return "http://127.0.0.1:" + server.getAddress().getPort();
  }

  /** The sandboxes that are open. */
  List<String> open() {
    return List.copyOf(files.keySet());
  }

  /** As a restart of the server does, which keeps sandboxes and ends whatever the mount knew. */
  void restart(McpMount next) {
    mount.close();
    mount = next;
  }

  /** Ends a sandbox behind everybody's back. */
  void lose(String sandbox) {
    files.remove(sandbox);
  }

  @Override
  public void close() {
    sleepers.values().forEach(CountDownLatch::countDown);
    mount.close();
    server.stop(0);
  }

  // --- the API ---

  private void answer(HttpExchange exchange) throws IOException {
    try (exchange) {
      String key =
          Optional.ofNullable(exchange.getRequestHeaders().getFirst("Authorization")).orElse("");
      if (!key.equals("Bearer " + KEY) && !key.equals("Bearer " + OTHER_KEY)) {
        refuse(exchange, 401, "invalid_api_key", "invalid api key");
        return;
      }
      byte[] body = exchange.getRequestBody().readAllBytes();
      String path = exchange.getRequestURI().getPath();
      String[] parts = path.substring("/v1/".length()).split("/", -1);
      String call =
          exchange.getRequestMethod()
              + " "
              + parts[0]
              + (parts.length > 2
                  ? "/" + String.join("/", List.of(parts).subList(2, parts.length))
                  : "")
              + (parts.length == 2 ? "/*" : "");
      if (parts.length > 1 && parts[0].equals("sandboxes") && !files.containsKey(parts[1])) {
        refuse(exchange, 404, "sandbox_not_found", "sandbox not found");
        return;
      }
      String id = parts.length > 1 ? parts[1] : "";
      if (call.startsWith("GET sandboxes/diff/")) {
        json(
            exchange,
            200,
            Map.of(
                "added",
                List.of("/root/a"),
                "removed",
                List.of(),
                "modified",
                List.of(),
                "details",
                Map.of(),
                "truncated",
                false,
                "variables",
                Map.of(
                    "added",
                    Map.of("y", Map.of("type", "int", "repr", "2")),
                    "removed",
                    Map.of(),
                    "modified",
                    Map.of("x", Map.of("from", Map.of("repr", "1"), "to", Map.of("repr", "5"))))));
        return;
      }
      if (call.startsWith("POST sandboxes/merge_into/")) {
        merge(exchange, parts[3], JSON.readTree(body));
        return;
      }
      switch (call) {
        case "POST sandboxes" -> json(exchange, 200, Map.of("id", create(JSON.readTree(body))));
        case "GET sandboxes" -> json(exchange, 200, Map.of("sandboxes", listed()));
        case "GET sandboxes/*" -> json(exchange, 200, Map.of("id", id));
        case "DELETE sandboxes/*" -> {
          files.remove(id);
          exchange.sendResponseHeaders(204, -1);
        }
        case "POST sandboxes/exec" -> exec(exchange, id, JSON.readTree(body));
        case "POST sandboxes/interrupt" -> {
          interrupts.add(id);
          Optional.ofNullable(sleepers.remove(id)).ifPresent(CountDownLatch::countDown);
          exchange.sendResponseHeaders(204, -1);
        }
        case "POST sandboxes/fork" -> {
          List<String> children = new ArrayList<>();
          for (int i = 0; i < JSON.readTree(body).path("n").asInt(); i++) {
            String child = create(JSON.createObjectNode());
            parents.put(child, id);
            children.add(child);
          }
          json(exchange, 200, Map.of("children", children, "pause_ms", 1.5));
        }
        case "PUT sandboxes/files" -> {
          files.get(id).put(pathIn(exchange), body);
          json(exchange, 200, Map.of("size", body.length));
        }
        case "GET sandboxes/files" -> download(exchange, id);
        case "GET sandboxes/files/list" ->
            json(
                exchange,
                200,
                Map.of(
                    "truncated",
                    false,
                    "entries",
                    files.get(id).keySet().stream()
                        .sorted()
                        .map(file ->
                            Map.of(
                                "name",
                                file.substring(file.lastIndexOf('/') + 1),
                                "type",
                                "file",
                                "size",
                                1))
                        .toList()));
        case "POST sandboxes/freeze" -> {
          files.remove(id);
          json(exchange, 200, Map.of("space", "spc_" + "0".repeat(32)));
        }
        case "GET spaces" ->
            json(exchange, 200, Map.of("spaces", List.of(spaceHeldBy(null), spaceHeldBy("sbx"))));
        case "DELETE spaces/*" -> {
          if (id.endsWith("1")) {
            exchange.sendResponseHeaders(204, -1);
          } else {
            refuse(exchange, 404, "space_not_found", "space not found");
          }
        }
        case "GET templates" ->
            json(
                exchange,
                200,
                Map.of(
                    "templates",
                    List.of(Map.of("name", "default", "state", "ready", "builtin", true))));
        case "POST spaces/resume" ->
            json(exchange, 200, Map.of("id", create(JSON.createObjectNode())));
        default -> refuse(exchange, 404, "not_found", "There is nothing at this path: " + call);
      }
    }
  }

  private static Map<String, Object> spaceHeldBy(String sandbox) {
    Map<String, Object> space = new LinkedHashMap<>();
    space.put("id", "spc_" + "1".repeat(32));
    space.put("held_by", sandbox);
    space.put("template", "default");
    return space;
  }

  private List<Map<String, Object>> listed() {
    return files.keySet().stream()
        .sorted()
        .<Map<String, Object>>map(id -> {
          Map<String, Object> told = new LinkedHashMap<>();
          told.put("id", id);
          told.put("state", "ready");
          told.put("template", "default");
          told.put("parent", parents.get(id));
          JsonNode marks = created.get(id).path("metadata");
          told.put("metadata", marks.isObject() ? marks : Map.of());
          return told;
        })
        .toList();
  }

  private String create(JsonNode wanted) {
    String id = "sbx_%032x".formatted(count.incrementAndGet());
    created.put(id, wanted);
    files.put(id, new ConcurrentHashMap<>());
    return id;
  }

  private void merge(HttpExchange exchange, String winner, JsonNode how) throws IOException {
    if (how.path("mode").asString().equals("files")) {
      if (how.path("on_conflict").asString("fail").equals("fail")) {
        json(
            exchange,
            409,
            Map.of(
                "error",
                "Files were changed on both sides.",
                "code",
                "merge_conflict",
                "hint",
                "Send on_conflict.",
                "conflicts",
                List.of(Map.of("path", "/root/a", "parent", "modified", "winner", "modified"))));
      } else {
        json(
            exchange,
            200,
            Map.of(
                "added",
                List.of("/root/b"),
                "removed",
                List.of(),
                "modified",
                List.of("/root/a"),
                "conflicts",
                List.of(),
                "applied",
                true,
                "mode",
                "files"));
      }
      return;
    }
    files.remove(winner);
    exchange.sendResponseHeaders(204, -1);
  }

  private void download(HttpExchange exchange, String id) throws IOException {
    String path = pathIn(exchange);
    byte[] content = files.get(id).get(path);
    if (path.equals("/root") || path.equals("/")) {
      refuse(exchange, 422, "is_a_directory", path + " is a directory.");
    } else if (content == null) {
      refuse(exchange, 404, "file_not_found", "There is no " + path + " in the sandbox.");
    } else {
      exchange.sendResponseHeaders(200, content.length == 0 ? -1 : content.length);
      exchange.getResponseBody().write(content);
    }
  }

  private static String pathIn(HttpExchange exchange) {
    String query = exchange.getRequestURI().getRawQuery();
    String path =
        URLDecoder.decode(query.substring(query.indexOf("path=") + 5), StandardCharsets.UTF_8);
    return path.startsWith("/") ? path : "/root/" + path;
  }

  private void exec(HttpExchange exchange, String id, JsonNode body) throws IOException {
    String code = body.path("code").asString();
    CountDownLatch woken = new CountDownLatch(1);
    if (code.startsWith("sleep")) {
      sleepers.put(id, woken); // Before anybody can know of the exec, and interrupt it.
    }
    execs.add(body);
    exchange.getResponseHeaders().set("Content-Type", "application/x-ndjson");
    OutputStream out = exchange.getResponseBody();
    switch (code.split(" ", 2)[0]) {
      case "sleep" -> {
        begin(exchange, out, event("stdout", "asleep\n"));
        await(woken);
        end(out, 130, "interrupted", true);
      }
      case "fail" -> {
        begin(exchange, out, event("stderr", "ValueError: no\n"));
        end(out, 1, "error", true);
      }
      case "queued" -> {
        begin(exchange, out, event("waiting", Map.of("behind", "exc_1")));
        out.write(event("error", Map.of("name", "QueuedTooLong", "value", "", "traceback", "")));
        end(out, 124, "timeout", true);
      }
      case "oom" -> {
        begin(exchange, out);
        end(out, 137, "oom", false);
      }
      case "long" -> {
        begin(exchange, out);
        for (int i = 0; i < 1000; i++) {
          out.write(event("stdout", "line " + i + " " + "x".repeat(100) + "\n"));
        }
        end(out, 0, "ok", true);
      }
      case "redraw" -> {
        begin(exchange, out);
        for (int i = 0; i < 2000; i++) {
          out.write(event("stdout", "\r" + i + "/2000"));
        }
        out.write(event("stderr", "\u001b[1;31mred\u001b[0m\n"));
        end(out, 0, "ok", true);
      }
      case "figure" -> {
        begin(
            exchange,
            out,
            event("result", Map.of("text/plain", "<Figure>", "image/png", "iVBORw0KGgo=")));
        end(out, 0, "ok", true);
      }
      case "cut" -> begin(exchange, out, event("stdout", "half"));
      default -> {
        begin(
            exchange,
            out,
            event("stdout", "ran " + code + "\n"),
            event("result", Map.of("text/plain", "2")),
            event("news", 1));
        end(out, 0, "ok", true);
      }
    }
    out.flush();
  }

  private static void begin(HttpExchange exchange, OutputStream out, byte[]... events)
      throws IOException {
    exchange.sendResponseHeaders(200, 0);
    for (byte[] event : events) {
      out.write(event);
    }
    out.flush();
  }

  private static void end(OutputStream out, int code, String reason, boolean stateKept)
      throws IOException {
    out.write(
        line(
            Map.of(
                "type",
                "exit",
                "data",
                code,
                "seq",
                9,
                "ts",
                0,
                "reason",
                reason,
                "state_kept",
                stateKept,
                "duration_ms",
                7)));
  }

  private static byte[] event(String type, Object data) {
    return line(Map.of("type", type, "data", data, "seq", 0, "ts", 0));
  }

  private static byte[] line(Map<String, ?> event) {
    return (JSON.writeValueAsString(event) + "\n").getBytes(StandardCharsets.UTF_8);
  }

  private static void await(CountDownLatch latch) {
    try {
      if (!latch.await(60, TimeUnit.SECONDS)) {
        throw new IllegalStateException("nobody interrupted the code");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void refuse(HttpExchange exchange, int status, String code, String error)
      throws IOException {
    json(exchange, status, Map.of("error", error, "code", code, "hint", "Do something else."));
  }

  private static void json(HttpExchange exchange, int status, Map<String, ?> body)
      throws IOException {
    byte[] bytes = JSON.writeValueAsBytes(body);
    exchange.sendResponseHeaders(status, bytes.length);
    exchange.getResponseBody().write(bytes);
  }

  // --- the mount ---

  private void mounted(HttpExchange exchange) throws IOException {
    try (exchange) {
      String key =
          Optional.ofNullable(exchange.getRequestHeaders().getFirst("Authorization"))
              .orElse("")
              .replaceFirst("Bearer ", "");
      if (!mount.methods().contains(exchange.getRequestMethod())) {
        exchange.sendResponseHeaders(405, -1);
        return;
      }
      mount.answer(new Call(exchange, key));
    } catch (IOException | RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  private record Call(HttpExchange exchange, String key) implements MountedCall {

    @Override
    public String method() {
      return exchange.getRequestMethod();
    }

    @Override
    public Optional<String> header(String name) {
      return Optional.ofNullable(exchange.getRequestHeaders().getFirst(name));
    }

    @Override
    public String owner() {
      return "owner of " + key;
    }

    @Override
    public InetSocketAddress reachedAt() {
      return exchange.getLocalAddress();
    }

    @Override
    public byte[] body(int atMost) {
      try {
        return exchange.getRequestBody().readNBytes(atMost);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    @Override
    public void answer(int status, Map<String, String> headers, byte[] content) {
      try {
        headers.forEach(exchange.getResponseHeaders()::set);
        exchange.sendResponseHeaders(status, content.length == 0 ? -1 : content.length);
        exchange.getResponseBody().write(content);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    @Override
    public OutputStream stream(int status, Map<String, String> headers) {
      try {
        headers.forEach(exchange.getResponseHeaders()::set);
        exchange.sendResponseHeaders(status, 0);
        return exchange.getResponseBody();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }
}
