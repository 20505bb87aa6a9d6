package dev.podflare.cli;

import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpResponse;
import java.net.http.WebSocket;
import java.net.http.WebSocketHandshakeException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletionException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The server's API as the commands use it. On the JDK's old client, because the program must start
 * in a fraction of a second, and loading the new one takes most of that.
 */
final class LocalApi {

  private static final JsonMapper JSON = JsonMapper.shared();

  private final Credentials credentials;

  private LocalApi(Credentials credentials) {
    this.credentials = credentials;
  }

  /** The server of a data directory, or else the one that the user's credentials file names. */
  static LocalApi of(Path dataDirectory) throws CommandFailure {
    return new LocalApi(Credentials.ofServer(dataDirectory));
  }

  JsonNode get(String path) throws CommandFailure {
    return readJson(open("GET", path));
  }

  JsonNode post(String path, Map<String, ?> body) throws CommandFailure {
    return readJson(send("POST", path, body));
  }

  /** Every sandbox of this key that is not closed, oldest first. */
  List<JsonNode> sandboxes() throws CommandFailure {
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
  List<JsonNode> spaces() throws CommandFailure {
    List<JsonNode> all = new ArrayList<>();
    get("/v1/spaces").path("spaces").forEach(all::add);
    return all;
  }

  /** Every template that this key can use. */
  List<JsonNode> templates() throws CommandFailure {
    List<JsonNode> all = new ArrayList<>();
    get("/v1/templates").path("templates").forEach(all::add);
    return all;
  }

  /** The execs of a sandbox, oldest first. */
  List<JsonNode> execs(String sandbox) throws CommandFailure {
    List<JsonNode> all = new ArrayList<>();
    get("/v1/sandboxes/" + sandbox + "/execs").path("execs").forEach(all::add);
    return all;
  }

  /** The caller closes the stream. */
  InputStream stream(String path) throws CommandFailure {
    return stream(open("GET", path));
  }

  /** The caller closes the stream. */
  InputStream stream(String path, Map<String, ?> body) throws CommandFailure {
    return stream(send("POST", path, body));
  }

  private InputStream stream(HttpURLConnection connection) throws CommandFailure {
    try {
      requireSuccess(connection);
      return connection.getInputStream();
    } catch (IOException e) {
      throw unreachable(e);
    }
  }

  /** Opens a WebSocket. What comes on it is the listener's, who has heard that it is open. */
  void connect(String path, WebSocket.Listener listener) throws CommandFailure {
    try {
      var _ =
          HttpClient.newHttpClient()
              .newWebSocketBuilder()
              .header("Authorization", "Bearer " + credentials.api_key())
              .connectTimeout(Duration.ofSeconds(30))
              .buildAsync(
                  URI.create(credentials.host().replaceFirst("^http", "ws") + path), listener)
              .join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof WebSocketHandshakeException refused) {
        throw refusal(refused.getResponse());
      }
      throw unreachable(e);
    }
  }

  private static Refusal refusal(HttpResponse<?> answer) {
    JsonNode error = JSON.createObjectNode();
    if (answer.body() instanceof String body) {
      try {
        error = JSON.readTree(body);
      } catch (JacksonException notOurs) {
        // The status says all that is known.
      }
    }
    return new Refusal(answer.statusCode(), error);
  }

  void delete(String path) throws CommandFailure {
    HttpURLConnection connection = open("DELETE", path);
    try {
      requireSuccess(connection);
    } catch (IOException e) {
      throw unreachable(e);
    }
  }

  private HttpURLConnection open(String method, String path) throws CommandFailure {
    try {
      HttpURLConnection connection =
          (HttpURLConnection) URI.create(credentials.host() + path).toURL().openConnection();
      connection.setRequestMethod(method);
      connection.setRequestProperty("Authorization", "Bearer " + credentials.api_key());
      connection.setConnectTimeout(5000);
      return connection;
    } catch (IOException | IllegalArgumentException e) {
      throw unreachable(e);
    }
  }

  private HttpURLConnection send(String method, String path, Map<String, ?> body)
      throws CommandFailure {
    HttpURLConnection connection = open(method, path);
    try {
      connection.setDoOutput(true);
      connection.setRequestProperty("Content-Type", "application/json");
      connection.getOutputStream().write(JSON.writeValueAsBytes(body));
      return connection;
    } catch (IOException e) {
      throw unreachable(e);
    }
  }

  private JsonNode readJson(HttpURLConnection connection) throws CommandFailure {
    try {
      requireSuccess(connection);
      try (InputStream answer = connection.getInputStream()) {
        return JSON.readTree(answer.readAllBytes());
      }
    } catch (IOException | JacksonException e) {
      throw unreachable(e);
    }
  }

  private void requireSuccess(HttpURLConnection connection) throws IOException, CommandFailure {
    int status = connection.getResponseCode();
    if (status < 300) {
      return;
    }
    try (InputStream answer = connection.getErrorStream()) {
      JsonNode error =
          JSON.readTree(answer == null ? new byte[] {'{', '}'} : answer.readAllBytes());
      throw new Refusal(status, error);
    }
  }

  private CommandFailure unreachable(Exception cause) {
    return new CommandFailure(
        CommandFailure.NO_SERVER,
        "the server at "
            + credentials.host()
            + " can't be reached ("
            + cause.getMessage()
            + "); start it with: podflare up --detach");
  }
}
