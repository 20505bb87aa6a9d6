package dev.podflare.mcp;

import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.HttpTimeoutException;
import java.nio.channels.UnresolvedAddressException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The calls over the REST API of a server. */
final class RestCalls implements SandboxCalls {

  private static final JsonMapper JSON = JsonMapper.shared();
  private static final TypeReference<Map<String, Object>> OBJECT = new TypeReference<>() {};
  private static final TypeReference<List<Map<String, Object>>> OBJECTS = new TypeReference<>() {};

  private static final Duration CONNECT_LIMIT = Duration.ofSeconds(10);

  /** A template that is built at its first use takes minutes. */
  private static final Duration CALL_LIMIT = Duration.ofMinutes(20);

  /** More than the server sends of one exec, and of one description. */
  private static final int MAX_LINE_BYTES = 32 << 20;

  private static final int MAX_ANSWER_BYTES = 32 << 20;

  private final HttpClient http;
  private final ServerAccess access;

  /**
   * @param http shared, so that connections are
   * @param access asked at each call, so that a server that is started late is found
   */
  RestCalls(HttpClient http, ServerAccess access) {
    this.http = http;
    this.access = access;
  }

  /**
   * A client for any number of {@link RestCalls}; its user closes it.
   *
   * <p>Its own tasks run where they arise, on its selector's thread: none of them blocks, since all
   * that is done with an answer is done in the thread that asked. Passing each to a thread of an
   * executor costs a call nearly a millisecond on a busy machine.
   */
  static HttpClient client() {
    return HttpClient.newBuilder()
        .version(HttpClient.Version.HTTP_1_1)
        .connectTimeout(CONNECT_LIMIT)
        .executor(Runnable::run)
        .build();
  }

  @Override
  public String create(Map<String, ?> wanted) {
    return post("/v1/sandboxes", wanted).path("id").asString();
  }

  @Override
  public List<Listed> sandboxes(int atMost) {
    List<Listed> listed = new ArrayList<>();
    for (JsonNode sandbox : get("/v1/sandboxes?limit=" + atMost).path("sandboxes")) {
      Map<String, String> marks = new HashMap<>();
      sandbox.path("metadata").forEachEntry((name, value) -> marks.put(name, value.asString("")));
      listed.add(
          new Listed(
              sandbox.path("id").asString(""),
              sandbox.path("parent").asStringOpt(),
              marks,
              JSON.convertValue(sandbox, OBJECT)));
    }
    return listed;
  }

  @Override
  public List<Map<String, Object>> templates() {
    return JSON.convertValue(get("/v1/templates").path("templates"), OBJECTS);
  }

  @Override
  public List<Map<String, Object>> spaces() {
    return JSON.convertValue(get("/v1/spaces").path("spaces"), OBJECTS);
  }

  @Override
  public boolean exists(String sandbox) {
    try {
      get(of(sandbox));
      return true;
    } catch (Failure e) {
      if (e.code().equals(Trouble.SANDBOX_NOT_FOUND.code())) {
        return false;
      }
      throw e;
    }
  }

  @Override
  public void close(String sandbox) {
    call(request(of(sandbox)).DELETE().timeout(CALL_LIMIT));
  }

  @Override
  public Exit run(String sandbox, Code code, Output output) {
    Map<String, Object> body = new HashMap<>();
    body.put("code", code.text());
    body.put("language", code.language());
    body.put("timeout_seconds", code.timeoutSeconds());
    // Without a limit of its own: the head comes with the first output, and the server ends the
    // code.
    HttpResponse<InputStream> answer =
        send(
            request(of(sandbox) + "/exec")
                .header("Content-Type", "application/json")
                .POST(json(body)));
    try (InputStream lines = answer.body()) {
      requireSuccess(answer);
      answer.headers().firstValue("X-Exec-Id").ifPresent(output::begun);
      LineReader reader = new LineReader(lines, MAX_LINE_BYTES);
      @Nullable Exit exit = null;
      // To the end, past the exit event, so that the connection can be used again.
      for (Optional<byte[]> line = reader.next(); line.isPresent(); line = reader.next()) {
        // A blank line, or the blank that begins a stream, is the heartbeat of silent code.
        Exit ended = line.get().length <= 1 ? null : hear(JSON.readTree(line.get()), output);
        exit = ended == null ? exit : ended;
      }
      if (exit == null) {
        throw Failure.of(Trouble.OUTCOME_UNKNOWN);
      }
      return exit;
    } catch (IOException | JacksonException e) {
      throw Failure.of(Trouble.OUTCOME_UNKNOWN);
    }
  }

  /** Passes an event on; one that is not known is none of ours. */
  private static @Nullable Exit hear(JsonNode event, Output output) {
    JsonNode data = event.path("data");
    switch (event.path("type").asString("")) {
      case "waiting" -> output.waiting();
      case "error" -> output.error(data.path("name").asString(""));
      case "stdout" -> output.stdout(data.asString(""));
      case "stderr" -> output.stderr(data.asString(""));
      case "result" -> {
        Map<String, String> value = new LinkedHashMap<>();
        data.forEachEntry((type, content) -> value.put(type, content.asString("")));
        output.result(value);
      }
      case "exit" -> {
        return new Exit(
            data.asInt(),
            event.path("reason").asString("ok"),
            event.path("state_kept").asBoolean(true),
            event.path("duration_ms").asLong(0));
      }
      default -> {}
    }
    return null;
  }

  @Override
  public void interrupt(String sandbox, Optional<String> exec) {
    String which = exec.map(id -> "/execs/" + encoded(id)).orElse("");
    call(
        request(of(sandbox) + which + "/interrupt")
            .POST(BodyPublishers.noBody())
            .timeout(CALL_LIMIT));
  }

  @Override
  public Map<String, Object> fork(String sandbox, int n) {
    return JSON.convertValue(post(of(sandbox) + "/fork", Map.of("n", n)), OBJECT);
  }

  @Override
  public Map<String, Object> diff(
      String sandbox, String other, List<String> paths, boolean variables, boolean text) {
    StringBuilder query = new StringBuilder("?variables=" + variables + "&text=" + text);
    paths.forEach(path -> query.append("&path=").append(encoded(path)));
    return JSON.convertValue(get(of(sandbox) + "/diff/" + encoded(other) + query), OBJECT);
  }

  @Override
  public Map<String, Object> merge(String sandbox, String winner, Map<String, ?> how) {
    JsonNode report = post(of(sandbox) + "/merge_into/" + encoded(winner), how);
    return report.isObject() ? JSON.convertValue(report, OBJECT) : Map.of();
  }

  @Override
  public void upload(String sandbox, String path, byte[] content) {
    call(
        request(of(sandbox) + "/files?path=" + encoded(path))
            .PUT(BodyPublishers.ofByteArray(content))
            .timeout(CALL_LIMIT));
  }

  @Override
  public byte[] download(String sandbox, String path, int atMost) {
    HttpResponse<InputStream> answer =
        send(request(of(sandbox) + "/files?path=" + encoded(path)).GET().timeout(CALL_LIMIT));
    try (InputStream bytes = answer.body()) {
      requireSuccess(answer);
      long length = answer.headers().firstValueAsLong("Content-Length").orElse(0);
      byte[] content = length > atMost ? new byte[0] : bytes.readNBytes(atMost + 1);
      if (length > atMost || content.length > atMost) {
        throw Failure.of(
            Trouble.FILE_TOO_LARGE,
            length > 0
                ? "The file is larger than 6 MB: it has " + length + " bytes"
                : Trouble.FILE_TOO_LARGE.what());
      }
      return content;
    } catch (IOException e) {
      throw Failure.of(Trouble.OUTCOME_UNKNOWN);
    }
  }

  @Override
  public Map<String, Object> list(String sandbox, String path) {
    return JSON.convertValue(get(of(sandbox) + "/files/list?path=" + encoded(path)), OBJECT);
  }

  @Override
  public String freeze(String sandbox) {
    return post(of(sandbox) + "/freeze", Map.of()).path("space").asString();
  }

  @Override
  public String resume(String space) {
    return post("/v1/spaces/" + encoded(space) + "/resume", Map.of()).path("id").asString();
  }

  @Override
  public void deleteSpace(String space) {
    call(request("/v1/spaces/" + encoded(space)).DELETE().timeout(CALL_LIMIT));
  }

  private JsonNode get(String path) {
    return call(request(path).GET().timeout(CALL_LIMIT));
  }

  private JsonNode post(String path, Map<String, ?> body) {
    return call(
        request(path)
            .header("Content-Type", "application/json")
            .POST(json(body))
            .timeout(CALL_LIMIT));
  }

  /** The answer's JSON; a missing node if it has none. */
  private JsonNode call(HttpRequest.Builder request) {
    HttpResponse<InputStream> answer = send(request);
    try (InputStream content = answer.body()) {
      requireSuccess(answer);
      return JSON.readTree(wholeOf(content));
    } catch (IOException | JacksonException e) {
      throw Failure.of(Trouble.OUTCOME_UNKNOWN);
    }
  }

  private static byte[] wholeOf(InputStream content) throws IOException {
    byte[] whole = content.readNBytes(MAX_ANSWER_BYTES + 1);
    if (whole.length > MAX_ANSWER_BYTES) {
      throw new IOException("the answer is longer than " + (MAX_ANSWER_BYTES >> 20) + " MiB");
    }
    return whole;
  }

  private HttpResponse<InputStream> send(HttpRequest.Builder request) {
    HttpRequest built = request.build();
    try {
      return http.send(built, BodyHandlers.ofInputStream());
    } catch (HttpConnectTimeoutException e) {
      throw unreachable(built, "no connection within " + CONNECT_LIMIT.toSeconds() + " s");
    } catch (ConnectException e) {
      throw unreachable(
          built,
          e.getCause() instanceof UnresolvedAddressException
              ? "its name is not known"
              : "nothing listens there");
    } catch (HttpTimeoutException e) {
      throw Failure.of(
          Trouble.OUTCOME_UNKNOWN,
          "The server gave no answer within " + CALL_LIMIT.toMinutes() + " minutes");
    } catch (IOException e) {
      throw Failure.of(Trouble.OUTCOME_UNKNOWN);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw Failure.of(Trouble.OUTCOME_UNKNOWN);
    }
  }

  private static void requireSuccess(HttpResponse<InputStream> answer) throws IOException {
    if (answer.statusCode() < 300) {
      return;
    }
    throw refusal(answer.statusCode(), wholeOf(answer.body()));
  }

  private static Failure refusal(int status, byte[] content) {
    JsonNode told;
    try {
      told = JSON.readTree(content);
    } catch (JacksonException _) {
      // Something else than a Podflare server answers there; its status is all that can be told.
      told = JSON.createObjectNode();
    }
    List<String> conflicts = new ArrayList<>();
    told.path("conflicts").forEach(conflict -> conflicts.add(conflict.path("path").asString("")));
    String what = told.path("error").asString("The server answered " + status);
    return Failure.refused(
        status,
        told.path("code").asString("http_" + status),
        conflicts.isEmpty() ? what : what + " Files: " + String.join(", ", conflicts) + ".",
        told.path("hint").asString("Ask the user whether the address is a Podflare server's."));
  }

  private static Failure unreachable(HttpRequest request, String reason) {
    URI server = request.uri();
    return Failure.of(
        Trouble.SERVER_UNREACHABLE,
        "The Podflare server at "
            + server.getScheme()
            + "://"
            + server.getRawAuthority()
            + " can't be reached: "
            + reason);
  }

  /**
   * @throws Failure if there is no server that could be asked
   */
  private HttpRequest.Builder request(String path) {
    ServerAccess.Server server;
    try {
      server = access.find();
    } catch (ServerAccess.NoServerException e) {
      throw Failure.of(Trouble.NO_SERVER, String.valueOf(e.getMessage()));
    }
    HttpRequest.Builder request;
    try {
      request =
          HttpRequest.newBuilder(URI.create(server.url().strip().replaceAll("/+$", "") + path));
    } catch (IllegalArgumentException e) {
      throw Failure.of(
          Trouble.NO_SERVER,
          "The configured server, " + Arguments.quoted(server.url()) + ", is not an http address");
    }
    if (server.key().isEmpty()) {
      return request;
    }
    try {
      return request.header("Authorization", "Bearer " + server.key());
    } catch (IllegalArgumentException e) {
      throw Failure.of(
          Trouble.INVALID_API_KEY,
          "The configured API key holds characters that no key has, such as a line break");
    }
  }

  private static BodyPublisher json(Map<String, ?> body) {
    return BodyPublishers.ofByteArray(JSON.writeValueAsBytes(body));
  }

  private static String of(String sandbox) {
    return "/v1/sandboxes/" + encoded(sandbox);
  }

  private static String encoded(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
  }
}
