package dev.podflare.cli.client;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpResponse;
import java.net.http.WebSocket;
import java.net.http.WebSocketHandshakeException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The server's API as the commands use it. On the JDK's old client, because the program must start
 * in a fraction of a second, and loading the new one takes most of that.
 */
public final class ServerApi {

  /** A stream has a sign of life every 15 s, however long its code is silent. */
  private static final Duration MAX_SILENCE = Duration.ofSeconds(45);

  private static final JsonMapper JSON = JsonMapper.shared();

  private static final int MAX_CONNECT_MILLIS = 10_000;

  /** Of an answer that is no stream; the longest real ones are listings. */
  private static final int MAX_ANSWER = 64 << 20;

  private static final byte[] NO_BODY = {};

  private final ServerAddress server;
  private final Duration timeout;

  /**
   * @param timeout how long an answer may take; of a stream, its beginning
   */
  public ServerApi(ServerAddress server, Duration timeout) {
    this.server = server;
    this.timeout = timeout;
  }

  public ServerAddress address() {
    return server;
  }

  public JsonNode get(String path) throws CommandFailure {
    return readJson(open("GET", path, timeout));
  }

  public JsonNode post(String path, Map<String, ?> body) throws CommandFailure {
    return readJson(send("POST", path, body, timeout));
  }

  /** Every sandbox of this key that is not closed, oldest first. */
  public List<JsonNode> sandboxes() throws CommandFailure {
    List<JsonNode> all = new ArrayList<>();
    String cursor = "";
    do {
      JsonNode page = get("/v1/sandboxes?limit=1000" + cursor);
      page.path("sandboxes").forEach(all::add);
      cursor = page.path("next_cursor").asString("");
      cursor = cursor.isEmpty() ? "" : "&cursor=" + cursor;
    } while (!cursor.isEmpty());
    return all;
  }

  /** Every Space of this key, oldest first. */
  public List<JsonNode> spaces() throws CommandFailure {
    List<JsonNode> all = new ArrayList<>();
    get("/v1/spaces").path("spaces").forEach(all::add);
    return all;
  }

  /** Every template that this key can use. */
  public List<JsonNode> templates() throws CommandFailure {
    List<JsonNode> all = new ArrayList<>();
    get("/v1/templates").path("templates").forEach(all::add);
    return all;
  }

  /** The execs of a sandbox, oldest first. */
  public List<JsonNode> execs(String sandbox) throws CommandFailure {
    List<JsonNode> all = new ArrayList<>();
    get("/v1/sandboxes/" + sandbox + "/execs").path("execs").forEach(all::add);
    return all;
  }

  /** The caller closes the stream. */
  public InputStream stream(String path) throws CommandFailure {
    return stream(open("GET", path, MAX_SILENCE));
  }

  /** The caller closes the stream. */
  public InputStream stream(String path, Map<String, ?> body) throws CommandFailure {
    return stream(send("POST", path, body, MAX_SILENCE));
  }

  /**
   * Code that was begun, or waits for its turn.
   *
   * @param id of the exec
   * @param events what it does, which the caller closes
   */
  public record StartedExec(String id, InputStream events) {}

  /** Runs code in a sandbox. */
  public StartedExec exec(String sandbox, Map<String, ?> body) throws CommandFailure {
    HttpURLConnection connection =
        send("POST", "/v1/sandboxes/" + sandbox + "/exec", body, MAX_SILENCE);
    InputStream events = stream(connection);
    return new StartedExec(String.valueOf(connection.getHeaderField("X-Exec-Id")), events);
  }

  /** The answer has a time limit; then only the server's own silence ends it, not its code's. */
  private InputStream stream(HttpURLConnection connection) throws CommandFailure {
    CountDownLatch begun = new CountDownLatch(1);
    AtomicBoolean isLate = new AtomicBoolean();
    Thread watch =
        Thread.ofPlatform()
            .daemon()
            .name("time-limit")
            .start(() -> {
              try {
                if (!begun.await(timeout.toMillis(), TimeUnit.MILLISECONDS)) {
                  isLate.set(true);
                  connection.disconnect();
                }
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            });
    try {
      requireSuccess(connection);
      return connection.getInputStream();
    } catch (IOException e) {
      throw isLate.get() ? late() : unreachable(e);
    } finally {
      begun.countDown();
      watch.interrupt();
    }
  }

  /** What is uploaded. */
  @FunctionalInterface
  public interface Content {
    void writeTo(OutputStream out) throws IOException;
  }

  /**
   * Stores a file.
   *
   * @param size how many bytes are written, exactly
   */
  public JsonNode put(String path, long size, Content content) throws CommandFailure {
    HttpURLConnection connection = open("PUT", path, timeout);
    connection.setDoOutput(true);
    connection.setFixedLengthStreamingMode(size);
    connection.setRequestProperty("Content-Type", "application/octet-stream");
    try {
      try (OutputStream out = connection.getOutputStream()) {
        content.writeTo(out);
      }
    } catch (IOException e) {
      throw refusedMeanwhile(connection, e);
    }
    return readJson(connection);
  }

  /** A server that refuses a file may say so, and hang up, before it has read all of it. */
  private CommandFailure refusedMeanwhile(HttpURLConnection connection, IOException cause) {
    try {
      requireSuccess(connection);
      return failed(cause);
    } catch (CommandFailure refusal) {
      return refusal;
    } catch (IOException alsoFailed) {
      cause.addSuppressed(alsoFailed);
      return failed(cause);
    }
  }

  /** Opens a WebSocket. What comes on it is the listener's, who has heard that it is open. */
  public void connect(String path, WebSocket.Listener listener) throws CommandFailure {
    try {
      WebSocket.Builder builder = HttpClient.newHttpClient().newWebSocketBuilder();
      if (!server.key().isEmpty()) {
        builder.header("Authorization", "Bearer " + server.key());
      }
      var _ =
          builder
              .connectTimeout(timeout)
              .buildAsync(URI.create(server.url().replaceFirst("^http", "ws") + path), listener)
              .join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof WebSocketHandshakeException refused) {
        throw refusal(refused.getResponse());
      }
      throw e.getCause() instanceof IOException io ? failed(io) : unreachable(e);
    }
  }

  private Refusal refusal(HttpResponse<?> answer) {
    return refusal(
        answer.statusCode(),
        answer.body() instanceof String body ? body.getBytes(StandardCharsets.UTF_8) : NO_BODY);
  }

  /** What is no answer of ours (a proxy's page) leaves the status alone to be told. */
  private Refusal refusal(int status, byte[] body) {
    JsonNode error = JSON.createObjectNode();
    try {
      JsonNode read = JSON.readTree(body);
      error = read.isObject() ? read : error;
    } catch (JacksonException notOurs) {
      return new Refusal(status, error, server);
    }
    return new Refusal(status, error, server);
  }

  public void delete(String path) throws CommandFailure {
    HttpURLConnection connection = open("DELETE", path, timeout);
    try {
      requireSuccess(connection);
    } catch (IOException e) {
      throw failed(e);
    }
  }

  /**
   * Prepares a call.
   *
   * @param readLimit how long the server may be silent
   */
  private HttpURLConnection open(String method, String path, Duration readLimit)
      throws CommandFailure {
    try {
      HttpURLConnection connection =
          (HttpURLConnection) URI.create(server.url() + path).toURL().openConnection();
      connection.setRequestMethod(method);
      if (!server.key().isEmpty()) {
        connection.setRequestProperty("Authorization", "Bearer " + server.key());
      }
      connection.setConnectTimeout((int) Math.min(MAX_CONNECT_MILLIS, timeout.toMillis()));
      connection.setReadTimeout((int) Math.min(Integer.MAX_VALUE, readLimit.toMillis()));
      return connection;
    } catch (IOException | IllegalArgumentException e) {
      throw unreachable(e);
    }
  }

  private HttpURLConnection send(
      String method, String path, Map<String, ?> body, Duration readLimit) throws CommandFailure {
    HttpURLConnection connection = open(method, path, readLimit);
    try {
      connection.setDoOutput(true);
      connection.setRequestProperty("Content-Type", "application/json");
      connection.getOutputStream().write(JSON.writeValueAsBytes(body));
      return connection;
    } catch (IOException e) {
      throw failed(e);
    }
  }

  private JsonNode readJson(HttpURLConnection connection) throws CommandFailure {
    try {
      requireSuccess(connection);
      try (InputStream answer = connection.getInputStream()) {
        return JSON.readTree(answer.readNBytes(MAX_ANSWER));
      }
    } catch (IOException e) {
      throw failed(e);
    } catch (JacksonException e) {
      throw new CommandFailure(
          server.inWords() + " answered what is no JSON; it may be no Podflare server", e);
    }
  }

  private void requireSuccess(HttpURLConnection connection) throws IOException, CommandFailure {
    int status = connection.getResponseCode();
    if (status >= 200 && status < 300) {
      return;
    }
    try (InputStream answer = connection.getErrorStream()) {
      throw refusal(status, answer == null ? NO_BODY : answer.readNBytes(MAX_ANSWER));
    }
  }

  private CommandFailure failed(IOException cause) {
    return cause instanceof SocketTimeoutException && !isOfConnecting(cause)
        ? late()
        : unreachable(cause);
  }

  private static boolean isOfConnecting(IOException cause) {
    return String.valueOf(cause.getMessage()).toLowerCase(Locale.ROOT).contains("connect");
  }

  private CommandFailure late() {
    return new CommandFailure(
        CommandFailure.NO_SERVER,
        "the server at %s did not answer within %s s; it may still do what it was asked. Wait longer with --server-timeout SECONDS."
            .formatted(
                server.inWords(),
                timeout.toMillis() % 1000 == 0
                    ? Long.toString(timeout.toSeconds())
                    : Double.toString(timeout.toMillis() / 1000.0)));
  }

  private CommandFailure unreachable(Exception cause) {
    return new CommandFailure(
        CommandFailure.NO_SERVER,
        "the server at %s can't be reached (%s); %s"
            .formatted(
                server.inWords(),
                cause.getMessage(),
                server.isLocal()
                    ? "start it with: podflare up --detach"
                    : "see that it runs there, and that the address is right"));
  }
}
