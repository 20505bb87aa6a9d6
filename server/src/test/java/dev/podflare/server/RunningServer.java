package dev.podflare.server;

import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.logging.Level;
import java.util.logging.Logger;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A server on a free port of this machine, and what is needed to call it. */
final class RunningServer implements AutoCloseable {

  static final String KEY = "pf_live_one";
  static final String OTHER_KEY = "pf_live_two";

  /** Held here, because a logger that nobody holds forgets its level. */
  private static final Logger WEB_SERVER_LOG = Logger.getLogger("io.helidon");

  private static final Duration DEADLINE = Duration.ofSeconds(60);
  private static final JsonMapper JSON = JsonMapper.builder().build();

  final SandboxesInMemory sandboxes = new SandboxesInMemory();
  private final HttpServer server;
  private final HttpClient client =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

  private RunningServer(ApiKeys keys, List<Mount> mounts, Duration stallLimit) throws IOException {
    this(keys, mounts, stallLimit, Heartbeat.USUAL);
  }

  private RunningServer(ApiKeys keys, List<Mount> mounts, Duration stallLimit, Heartbeat heartbeat)
      throws IOException {
    WEB_SERVER_LOG.setLevel(Level.WARNING);
    this.server =
        HttpServer.start(
            new ServerConfig(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), keys),
            sandboxes,
            mounts,
            stallLimit,
            heartbeat);
  }

  static RunningServer withKeys() throws IOException {
    return new RunningServer(ApiKeys.of(List.of(KEY, OTHER_KEY)), List.of(), DEADLINE);
  }

  /** One whose streams beat whenever they have been silent for this long. */
  static RunningServer withHeartbeat(Duration silence) throws IOException {
    return new RunningServer(
        ApiKeys.of(List.of(KEY, OTHER_KEY)), List.of(), DEADLINE, new Heartbeat(silence));
  }

  static RunningServer withoutKeys() throws IOException {
    return new RunningServer(ApiKeys.notRequired(), List.of(), DEADLINE);
  }

  static RunningServer withMount(Mount mount) throws IOException {
    return new RunningServer(ApiKeys.of(List.of(KEY, OTHER_KEY)), List.of(mount), DEADLINE);
  }

  static RunningServer withMountAndNoKeys(Mount mount) throws IOException {
    return new RunningServer(ApiKeys.notRequired(), List.of(mount), DEADLINE);
  }

  static RunningServer withStallLimit(Duration limit) throws IOException {
    return new RunningServer(ApiKeys.of(List.of(KEY)), List.of(), limit);
  }

  InetSocketAddress address() {
    return server.address();
  }

  /** An answer, with its body read. */
  record Answer(int status, java.net.http.HttpHeaders headers, String body) {
    JsonNode json() {
      return JSON.readTree(body);
    }

    String text(String field) {
      return json().required(field).asString();
    }
  }

  HttpRequest.Builder request(String path) {
    return HttpRequest.newBuilder(
            URI.create("http://127.0.0.1:" + server.address().getPort() + path))
        .timeout(DEADLINE)
        .header("Authorization", "Bearer " + KEY);
  }

  Answer get(String path) throws Exception {
    return send(request(path).GET());
  }

  Answer delete(String path) throws Exception {
    return send(request(path).DELETE());
  }

  Answer post(String path, String body) throws Exception {
    return send(
        request(path)
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body)));
  }

  Answer send(HttpRequest.Builder request) throws Exception {
    HttpResponse<String> response =
        client.send(request.build(), HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8));
    return new Answer(response.statusCode(), response.headers(), response.body());
  }

  HttpResponse<InputStream> stream(HttpRequest.Builder request) throws Exception {
    return client.send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
  }

  /** Makes a sandbox, and says its id. */
  String create() throws Exception {
    return post("/v1/sandboxes", "{}").text("id");
  }

  /** A bare connection, for requests that no client library sends. */
  Socket connect() throws IOException {
    Socket socket = new Socket(server.address().getAddress(), server.address().getPort());
    socket.setTcpNoDelay(true);
    socket.setSoTimeout((int) DEADLINE.toMillis());
    return socket;
  }

  /** Sends bytes on a connection of their own, and reads until the server closes it. */
  String raw(String request) throws IOException {
    try (Socket socket = connect()) {
      socket.getOutputStream().write(request.getBytes(StandardCharsets.ISO_8859_1));
      socket.shutdownOutput();
      return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  /** The first lines of a raw request, with a valid key and the header that ends the connection. */
  static String head(String method, String path, String... headers) {
    StringBuilder head =
        new StringBuilder(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n")
            .append("Authorization: Bearer " + KEY + "\r\n");
    for (String header : headers) {
      head.append(header).append("\r\n");
    }
    return head.append("\r\n").toString();
  }

  @Override
  public void close() {
    client.close();
    server.close();
  }
}
