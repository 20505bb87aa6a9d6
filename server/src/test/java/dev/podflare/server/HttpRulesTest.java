package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.Isolation;
import dev.podflare.sandbox.SandboxException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

class HttpRulesTest {

  private RunningServer server;

  @BeforeEach
  void start() throws Exception {
    server = RunningServer.withKeys();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @Test
  void healthzIsOpenToAll() throws Exception {
    String answer = server.raw("GET /v1/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

    assertThat(answer).startsWith("HTTP/1.1 200 ").endsWith("\r\n\r\nok");
  }

  @ParameterizedTest
  @CsvSource({
    "GET, /v1/sandboxes",
    "GET, /v1/capacity",
    "GET, /metrics",
    "GET, /openapi.yaml",
    "GET, /x",
    "PATCH, /v1/healthz"
  })
  void allElseNeedsAKey(String method, String path) throws Exception {
    String request = method + " " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";

    assertThat(server.raw(request + "\r\n"))
        .startsWith("HTTP/1.1 401 ")
        .contains("WWW-Authenticate: Bearer")
        .contains("\"error\":\"missing Authorization: Bearer <key>\"");
    assertThat(server.raw(request + "Authorization: Basic eA==\r\n\r\n"))
        .contains("\"error\":\"missing Authorization: Bearer <key>\"");
    assertThat(server.raw(request + "Authorization: Bearer pf_live_three\r\n\r\n"))
        .startsWith("HTTP/1.1 401 ")
        .contains("\"error\":\"invalid api key\"");
    assertThat(server.raw(request + "Authorization: Bearer \r\n\r\n")).startsWith("HTTP/1.1 401 ");
  }

  @ParameterizedTest
  @CsvSource({
    "PATCH, /v1/sandboxes, 'GET, POST'",
    "PUT, /v1/sandboxes/sbx_00000000000000000000000000000000, 'DELETE, GET'",
    "GET, /v1/sandboxes/x/exec, POST",
    "POST, /v1/sandboxes/x/files, 'DELETE, GET, PUT'",
    "DELETE, /metrics, GET",
  })
  void aWrongMethodIsAnsweredWithTheRightOnes(String method, String path, String allowed)
      throws Exception {
    String answer = server.raw(RunningServer.head(method, path, "Connection: close"));

    assertThat(answer)
        .startsWith("HTTP/1.1 405 ")
        .contains("Allow: " + allowed + "\r\n")
        .contains("\"code\":\"method_not_allowed\"");
  }

  @ParameterizedTest
  @ValueSource(strings = {"text/plain", "application/x-www-form-urlencoded", "*/*", "x"})
  void aBodyOfAnotherTypeIsRefused(String type) throws Exception {
    RunningServer.Answer answer =
        server.send(
            server
                .request("/v1/sandboxes")
                .header("Content-Type", type)
                .POST(HttpRequest.BodyPublishers.ofString("{}")));

    assertThat(answer.status()).isEqualTo(415);
    assertThat(answer.text("code")).isEqualTo("unsupported_media_type");
  }

  @ParameterizedTest
  @ValueSource(strings = {"application/json", "Application/JSON; charset=UTF-8"})
  void jsonIsTaken(String type) throws Exception {
    RunningServer.Answer answer =
        server.send(
            server
                .request("/v1/sandboxes")
                .header("Content-Type", type)
                .POST(HttpRequest.BodyPublishers.ofString("{}")));

    assertThat(answer.status()).isEqualTo(200);
  }

  @Test
  void malformedJsonIsRefusedByLineAndColumn() throws Exception {
    RunningServer.Answer answer = server.post("/v1/sandboxes", "{\n  \"template\": }");

    assertThat(answer.status()).isEqualTo(400);
    assertThat(answer.text("error")).contains("line 2, column 1");
  }

  @Test
  void aBodyBeyondOneMebibyteIsTooLarge() throws Exception {
    String body = "{\"code\":\"" + "x".repeat(RequestBody.MAX_BYTES) + "\"}";
    String exec = "/v1/sandboxes/" + server.create() + "/exec";

    RunningServer.Answer announced = server.post(exec, body);
    RunningServer.Answer chunked =
        server.send(
            server
                .request(exec)
                .POST(
                    HttpRequest.BodyPublishers.ofInputStream(() ->
                        new java.io.ByteArrayInputStream(
                            body.getBytes(StandardCharsets.US_ASCII)))));

    assertThat(announced.status()).isEqualTo(413);
    assertThat(announced.text("code")).isEqualTo("body_too_large");
    assertThat(chunked.status()).isEqualTo(413);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET /v1/healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /v1/healthz HTTP/1.1\r\nHost: a\r\nbroken\r\n\r\n",
        "POST /v1/sandboxes HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "POST /v1/sandboxes HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n{}",
        "POST /v1/sandboxes HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
            + "Transfer-Encoding: chunked\r\n\r\n{}",
      })
  void whatIsNoHttpIsAnsweredInJsonToo(String request) throws Exception {
    String answer = server.raw(request);

    if (!answer.isEmpty()) {
      assertThat(answer).matches("(?s)HTTP/1\\.1 (4|505).*");
      assertThat(answer).contains("{\"error\":").contains("X-Request-Id: req_");
    }
    assertThat(server.get("/v1/healthz").status()).isEqualTo(200);
  }

  @Test
  void linesAndHeadersWithoutEndAreRefused() throws Exception {
    assertThat(server.raw("GET /" + "a".repeat(100_000) + " HTTP/1.1\r\nHost: a\r\n\r\n"))
        .startsWith("HTTP/1.1 414 ")
        .contains("{\"error\":");
    assertThat(
            server.raw(
                "GET /v1/healthz HTTP/1.1\r\nHost: a\r\nX: " + "a".repeat(100_000) + "\r\n\r\n"))
        .startsWith("HTTP/1.1 4")
        .contains("{\"error\":");
  }

  @Test
  void jsonThatBreaksOffDoesNothing() throws Exception {
    String answer =
        server.raw(RunningServer.head("POST", "/v1/sandboxes", "Content-Length: 100") + "{}");

    assertThat(answer).startsWith("HTTP/1.1 400 ").contains("\"code\":\"body_truncated\"");
    assertThat(server.sandboxes.created).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "GET /v1/healthz HTTP/1.1|Host: a|Connection: close||",
        "GET /v1/sandboxes HTTP/1.1|Host: a|Connection: close||",
        "POST /v1/sandboxes HTTP/1.1|Host: a|Transfer-Encoding: chunked||2|{}|0||GET / HTTP/1.1||",
        "POST /v1/sandboxes HTTP/1.1|Host: a|Content-Length: 9|Expect: 100-continue||GET / HTT||",
      })
  void aConnectionIsClosedAfterTheAnswerThatSaysSo(String lines) throws Exception {
    String request = lines.replace("|", "\r\n");
    try (Socket socket = server.connect()) {
      socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));

      // Reads to the end of the connection: the socket's own deadline fails the test.
      String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);

      assertThat(answer).containsOnlyOnce("HTTP/1.1 ").contains("Connection: close");
    }
  }

  @Test
  void aShortUnreadBodyLeavesTheConnectionOpen() throws Exception {
    String refused = "POST /v1/sandboxes HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
    String close = "GET /v1/healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    assertThat(server.raw(refused + close)).matches("(?s)HTTP/1.1 401 .*HTTP/1.1 200 .*ok");
  }

  @Test
  void everyAnswerHasAnIdOfItsOwn() throws Exception {
    Set<String> ids = new HashSet<>();
    for (String path : List.of("/v1/healthz", "/v1/sandboxes", "/nowhere", "/v1/sandboxes/x")) {
      ids.add(server.get(path).headers().firstValue("X-Request-Id").orElseThrow());
    }

    assertThat(ids).hasSize(4).allMatch(id -> id.matches("req_[0-9a-f]{16}"));
  }

  @Test
  void aFailureOfTheServerNamesTheLogAndNotTheCause() throws Exception {
    String id = server.create();
    server.sandboxes.running =
        (sandbox, request) -> {
          throw new IllegalStateException("secret /path of the host");
        };

    RunningServer.Answer answer = server.post("/v1/sandboxes/" + id + "/exec", "{\"code\":\"\"}");

    assertThat(answer.status()).isEqualTo(500);
    assertThat(answer.text("code")).isEqualTo("internal");
    assertThat(answer.text("hint"))
        .contains(answer.headers().firstValue("X-Request-Id").orElseThrow());
    assertThat(answer.body()).doesNotContain("secret");
  }

  @ParameterizedTest
  @CsvSource({
    "NO_FILE, file_not_found, 404",
    "INVALID, invalid_path, 400",
    "INVALID, too_small, 422",
    "WRONG_STATE, sandbox_lost, 409",
    "NO_ROOM, no_room, 503",
    "TOO_LARGE, disk_full, 413",
    "BROKEN, guest_broken, 500",
  })
  void aRefusalOfTheSandboxHasItsStatus(SandboxException.Reason reason, String code, int status)
      throws Exception {
    String id = server.create();
    server.sandboxes.running =
        (sandbox, request) -> {
          throw new SandboxException(
              reason, code, "What happened.", "What to do.", Optional.of("memory_mb"), null);
        };

    RunningServer.Answer answer = server.post("/v1/sandboxes/" + id + "/exec", "{\"code\":\"\"}");

    assertThat(answer.status()).isEqualTo(status);
    assertThat(answer.text("error")).isEqualTo("What happened.");
    assertThat(answer.text("code")).isEqualTo(code);
    assertThat(answer.text("hint")).startsWith("What to do.");
  }

  @Test
  void capacityAndMetricsCount() throws Exception {
    server.post("/v1/sandboxes/" + server.create() + "/exec", "{\"code\":\"\"}");

    JsonNode capacity = server.get("/v1/capacity").json();
    assertThat(capacity.required("pool_hit_rate_bp").intValue()).isEqualTo(9000);
    assertThat(capacity.required("isolation").asString()).isEqualTo("emulated");
    assertThat(capacity.required("isolation_promise").asString())
        .isEqualTo(Isolation.EMULATED.promise());
    assertThat(capacity.required("prepared_ready").intValue()).isEqualTo(4);
    assertThat(capacity.required("prepared_target").intValue()).isEqualTo(5);
    assertThat(capacity.required("rehearsals").intValue()).isEqualTo(1);
    assertThat(server.get("/metrics").body())
        .contains("podflare_sandboxes 1.0")
        .contains("podflare_sandboxes_created_total 1.0")
        .contains("podflare_execs_total 1.0")
        .contains("podflare_exec_ends_total{reason=\"ok\"} 1.0")
        .contains("podflare_pool_ready{template=\"default\"} 2.0")
        .contains(
            "podflare_http_requests_total{method=\"POST\",route=\"/v1/sandboxes\",status=\"200\"}"
                + " 1.0");
  }

  @Test
  void aServerWithoutKeysAnswersProgramsButNoWebPages() throws Exception {
    try (RunningServer open = RunningServer.withoutKeys()) {
      String get = "GET /v1/sandboxes HTTP/1.1\r\nConnection: close\r\n";
      assertThat(open.raw(get + "Host: 127.0.0.1:7070\r\n\r\n")).startsWith("HTTP/1.1 200 ");
      assertThat(open.raw(get + "Host: localhost\r\n\r\n")).startsWith("HTTP/1.1 200 ");
      assertThat(open.raw(get + "Host: 127.0.0.1\r\nOrigin: http://evil.example\r\n\r\n"))
          .startsWith("HTTP/1.1 403 ");
      assertThat(open.raw(get + "Host: rebound.example\r\n\r\n"))
          .startsWith("HTTP/1.1 403 ")
          .contains("\"code\":\"foreign_site\"");
    }
  }

  @Test
  void aServerWithoutKeysListensOnLoopbackOnly() {
    assertThatThrownBy(
            () -> new ServerConfig(new InetSocketAddress("0.0.0.0", 0), ApiKeys.notRequired()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("PODFLARE_API_KEYS");
  }

  @Test
  void aPortInUseIsSaidSo() {
    assertThatThrownBy(() ->
            HttpServer.start(
                new ServerConfig(server.address(), ApiKeys.notRequired()),
                server.sandboxes,
                List.of()))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("Is another server running there?");
  }

  @Test
  void aKeyIsLongAndNeverTheSame() {
    assertThat(ApiKeys.generate()).matches("pf_live_[0-9a-f]{64}");
    assertThat(ApiKeys.generate()).isNotEqualTo(ApiKeys.generate());
    assertThatThrownBy(() -> ApiKeys.of(List.of("a b")))
        .isInstanceOf(IllegalArgumentException.class);
    assertThat(ApiKeys.of(List.of()).ownerOf("")).isEmpty();
  }
}
