package dev.podflare.cli.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpServer;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.Test;

/** What a command says of servers that do not answer as they should. */
class ServerApiTest {

  private interface Talk {
    void with(ServerApi api) throws Exception;
  }

  private static ServerApi api(int port, String key, Duration timeout) {
    return new ServerApi(
        new ServerAddress(
            "http://127.0.0.1:" + port, "--server", key, key.isEmpty() ? "" : "PODFLARE_API_KEY"),
        timeout);
  }

  /** A server that gives every call this answer. */
  private static void answering(int status, String body, Talk talk) throws Exception {
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext(
        "/",
        exchange -> {
          byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
          exchange.getRequestBody().readAllBytes();
          exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
          exchange.getResponseBody().write(bytes);
          exchange.close();
        });
    server.start();
    try {
      talk.with(api(server.getAddress().getPort(), "k", Duration.ofSeconds(60)));
    } finally {
      server.stop(0);
    }
  }

  @Test
  void a_server_that_accepts_and_never_answers_is_given_up_in_words() throws Exception {
    try (ServerSocket silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
      ServerApi api = api(silent.getLocalPort(), "k", Duration.ofMillis(300));
      String said =
          "the server at http://127.0.0.1:%d (from --server) did not answer within 0.3 s"
              .formatted(silent.getLocalPort());
      assertThatThrownBy(() -> api.get("/v1/capacity"))
          .isInstanceOfSatisfying(
              CommandFailure.class, failure -> assertThat(failure.exitCode()).isEqualTo(3))
          .hasMessageStartingWith(said)
          .hasMessageContaining("--server-timeout");
      assertThatThrownBy(() -> api.post("/v1/sandboxes", Map.of())).hasMessageStartingWith(said);
      assertThatThrownBy(() -> api.delete("/v1/sandboxes/1")).hasMessageStartingWith(said);
      assertThatThrownBy(() -> api.stream("/x", Map.of("code", "1"))).hasMessageStartingWith(said);
    }
  }

  @Test
  void a_stream_that_has_begun_may_be_silent_for_longer() throws Exception {
    CountDownLatch late = new CountDownLatch(1);
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.createContext(
        "/",
        exchange -> {
          exchange.sendResponseHeaders(200, 0);
          exchange.getResponseBody().write(' ');
          exchange.getResponseBody().flush();
          try {
            late.await();
          } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
          }
          exchange.getResponseBody().write("end".getBytes(StandardCharsets.UTF_8));
          exchange.close();
        });
    server.start();
    Duration limit = Duration.ofSeconds(2);
    try (InputStream stream = api(server.getAddress().getPort(), "k", limit).stream("/")) {
      Thread.sleep(limit.plusMillis(300)); // longer than the limit is what is to be shown
      late.countDown();
      assertThat(stream.readAllBytes()).asString().isEqualTo(" end");
    } finally {
      server.stop(0);
    }
  }

  @Test
  void a_refused_key_is_told_with_where_it_came_from_but_not_shown() throws Exception {
    answering(
        401,
        "{\"error\":\"invalid api key\",\"code\":\"unauthorized\",\"hint\":\"x\"}",
        api ->
            assertThatThrownBy(() -> api.get("/"))
                .hasMessageContainingAll(
                    "invalid api key.", "from PODFLARE_API_KEY", "(from --server)"));
  }

  @Test
  void fields_and_calls_of_the_api_are_told_as_options_and_commands() throws Exception {
    answering(
        400,
        "{\"error\":\"The field memory_mb must be from 256 to 8192, but is 10.\",\"code\":\"x\",\"hint\":\"Ask for more, or leave memory_mb out.\"}",
        api ->
            assertThatThrownBy(() -> api.post("/", Map.of()))
                .hasMessage(
                    "--memory must be from 256 to 8192, but is 10. Ask for more, or leave --memory out."));
    answering(
        404,
        "{\"error\":\"template not found\",\"code\":\"x\",\"hint\":\"GET /v1/templates lists those that are there.\"}",
        api ->
            assertThatThrownBy(() -> api.delete("/"))
                .hasMessage(
                    "template not found. podflare template list lists those that are there."));
  }

  @Test
  void a_page_of_something_else_is_no_podflare_server() throws Exception {
    answering(
        502,
        "<html>bad gateway</html>",
        api ->
            assertThatThrownBy(() -> api.get("/"))
                .hasMessageContaining("answered with status 502"));
    answering(
        200,
        "<html>welcome</html>",
        api ->
            assertThatThrownBy(() -> api.get("/"))
                .hasMessageContaining("it may be no Podflare server"));
    answering(
        302,
        "",
        api ->
            assertThatThrownBy(() -> api.get("/"))
                .hasMessageContaining("answered with status 302"));
  }
}
