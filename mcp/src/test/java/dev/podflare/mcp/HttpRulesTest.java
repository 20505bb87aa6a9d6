package dev.podflare.mcp;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.time.InstantSource;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What the HTTP side of the protocol takes and refuses, byte by byte. */
class HttpRulesTest {

  private static final String INITIALIZE =
      """
      {"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",\
      "capabilities":{},"clientInfo":{"name":"t","version":"1"}}}\
      """;

  private FakePodflare podflare;
  private final HttpClient http = HttpClient.newHttpClient();

  @AfterEach
  void stop() {
    podflare.close();
    http.close();
  }

  private void start(int sessions, Duration idle) throws Exception {
    podflare = new FakePodflare(mount(sessions, idle, SessionStore.inMemory()));
  }

  private static McpMount mount(int sessions, Duration idle, SessionStore store) {
    return new McpMount(new HttpSessions(sessions, idle, store, InstantSource.system()), "1");
  }

  private void start() throws Exception {
    start(100, Duration.ofHours(1));
  }

  private HttpRequest.Builder request(String key) {
    return HttpRequest.newBuilder(URI.create(podflare.url() + "/mcp"))
        .timeout(Duration.ofSeconds(30))
        .header("Authorization", "Bearer " + key)
        .header("Content-Type", "application/json")
        .header("Accept", "application/json, text/event-stream");
  }

  private HttpResponse<String> send(HttpRequest.Builder request) throws Exception {
    return http.send(request.build(), HttpResponse.BodyHandlers.ofString());
  }

  private HttpResponse<String> post(String session, String body) throws Exception {
    return send(
        request(FakePodflare.KEY)
            .header("Mcp-Session-Id", session)
            .POST(HttpRequest.BodyPublishers.ofString(body)));
  }

  private String begin(String key) throws Exception {
    HttpResponse<String> answer =
        send(request(key).POST(HttpRequest.BodyPublishers.ofString(INITIALIZE)));
    assertThat(answer.statusCode()).isEqualTo(200);
    return answer.headers().firstValue("Mcp-Session-Id").orElseThrow();
  }

  private static JsonNode json(HttpResponse<String> answer) {
    return JsonMapper.shared().readTree(answer.body());
  }

  private static String run(int id, String code) {
    return "{\"jsonrpc\":\"2.0\",\"id\":"
        + id
        + ",\"method\":\"tools/call\",\"params\":{\"name\":"
        + "\"run_python\",\"arguments\":{\"code\":\""
        + code
        + "\"}}}";
  }

  private static String tool(int id, String name, String arguments) {
    return "{\"jsonrpc\":\"2.0\",\"id\":"
        + id
        + ",\"method\":\"tools/call\",\"params\":{\"name\":\""
        + name
        + "\",\"arguments\":"
        + arguments
        + "}}";
  }

  /** The id that create_sandbox has answered. */
  private static String made(HttpResponse<String> answer) {
    String text = json(answer).path("result").path("content").get(0).path("text").asString();
    return JsonMapper.shared().readTree(text).path("sandbox_id").asString();
  }

  @Test
  void aRequestIsAnsweredInPlainJsonIfNothingComesBeforeItsAnswer() throws Exception {
    start();
    HttpResponse<String> answer = post(begin(FakePodflare.KEY), run(7, "1"));

    assertThat(answer.headers().firstValue("Content-Type")).hasValue("application/json");
    assertThat(json(answer).path("id").asInt()).isEqualTo(7);
    assertThat(answer.body()).contains("ran 1");
  }

  @Test
  void aNotificationIsAccepted() throws Exception {
    start();
    String session = begin(FakePodflare.KEY);

    HttpResponse<String> answer =
        post(session, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    assertThat(answer.statusCode()).isEqualTo(202);
    assertThat(answer.body()).isEmpty();
    assertThat(post(session, "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{}}").statusCode())
        .isEqualTo(202);
  }

  @Test
  void aCancelledRequestIsInterruptedAndHasNoAnswer() throws Exception {
    start();
    String session = begin(FakePodflare.KEY);
    var answer =
        http.sendAsync(
            request(FakePodflare.KEY)
                .header("Mcp-Session-Id", session)
                .POST(HttpRequest.BodyPublishers.ofString(run(9, "sleep")))
                .build(),
            HttpResponse.BodyHandlers.ofString());
    Eventually.is(() -> !podflare.execs.isEmpty());
    HttpResponse<String> cancelled =
        post(
            session,
            "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":9}}");

    assertThat(cancelled.statusCode()).isEqualTo(202);
    assertThat(answer.get().body()).isEmpty();
    assertThat(podflare.interrupts).isNotEmpty();
  }

  @Test
  void aSessionIsNeededAndIsTheKeysThatBeganIt() throws Exception {
    start();
    String session = begin(FakePodflare.KEY);
    String ping = "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}";

    assertThat(post(session, ping).statusCode()).isEqualTo(200);
    assertThat(
            send(request(FakePodflare.KEY).POST(HttpRequest.BodyPublishers.ofString(ping)))
                .statusCode())
        .isEqualTo(400);
    assertThat(post("00000000-0000-0000-0000-000000000000", ping).statusCode()).isEqualTo(404);
    HttpResponse<String> other =
        send(
            request(FakePodflare.OTHER_KEY)
                .header("Mcp-Session-Id", session)
                .POST(HttpRequest.BodyPublishers.ofString(ping)));
    assertThat(other.statusCode()).isEqualTo(404);
    assertThat(json(other).path("error").path("message").asString()).contains("initialize again");
  }

  @Test
  void aSessionEndsWhenItsClientSaysSoAndItsSandboxWithIt() throws Exception {
    start();
    String session = begin(FakePodflare.KEY);
    post(session, run(1, "1"));
    assertThat(podflare.open()).hasSize(1);

    HttpResponse<String> answer =
        send(request(FakePodflare.KEY).header("Mcp-Session-Id", session).DELETE());
    assertThat(answer.statusCode()).isEqualTo(204);
    assertThat(podflare.open()).isEmpty();
    assertThat(post(session, run(2, "1")).statusCode()).isEqualTo(404);
  }

  @Test
  void aSessionThatNobodyUsesEndsByItself() throws Exception {
    start(100, Duration.ofMillis(200));
    post(begin(FakePodflare.KEY), run(1, "1"));

    Eventually.is(() -> podflare.open().isEmpty());
  }

  @Test
  void aKeyThatBeginsTooManySessionsLosesTheIdlestOfItsOwn() throws Exception {
    start(2, Duration.ofHours(1));
    String first = begin(FakePodflare.KEY);
    String other = begin(FakePodflare.OTHER_KEY);
    String second = begin(FakePodflare.KEY);
    post(first, run(1, "1"));
    String third = begin(FakePodflare.KEY);

    assertThat(post(first, run(2, "1")).statusCode()).isEqualTo(200);
    assertThat(post(second, run(2, "1")).statusCode()).isEqualTo(404);
    assertThat(post(third, run(2, "1")).statusCode()).isEqualTo(200);
    HttpResponse<String> others =
        send(
            request(FakePodflare.OTHER_KEY)
                .header("Mcp-Session-Id", other)
                .POST(HttpRequest.BodyPublishers.ofString(run(1, "1"))));
    assertThat(others.statusCode()).isEqualTo(200);
  }

  @Test
  void aSessionOutlivesTheServerAndKeepsItsSandboxes() throws Exception {
    SessionStore store = SessionStore.inMemory();
    podflare = new FakePodflare(mount(100, Duration.ofHours(1), store));
    String session = begin(FakePodflare.KEY);
    String unused = begin(FakePodflare.KEY);
    post(session, run(1, "1"));
    String own = podflare.open().getFirst();
    post(session, tool(2, "fork", "{}"));
    String named = made(post(session, tool(3, "create_sandbox", "{}")));

    podflare.restart(mount(100, Duration.ofHours(1), store));

    assertThat(post(session, run(4, "2")).body()).contains("ran 2", own);
    assertThat(podflare.open()).hasSize(3);
    assertThat(post(unused, run(1, "1")).statusCode()).isEqualTo(200);
    HttpResponse<String> stolen =
        send(
            request(FakePodflare.OTHER_KEY)
                .header("Mcp-Session-Id", session)
                .POST(HttpRequest.BodyPublishers.ofString(run(5, "1"))));
    assertThat(stolen.statusCode()).isEqualTo(404);
    assertThat(post(session, tool(6, "list_sandboxes", "{}")).body()).contains(own, named);
    send(request(FakePodflare.KEY).header("Mcp-Session-Id", session).DELETE());
    assertThat(podflare.open()).contains(named).doesNotContain(own).hasSize(2);
    assertThat(post(session, run(7, "1")).statusCode()).isEqualTo(404);
  }

  @Test
  void aSessionThatWasIdleForTooLongDoesNotComeBack() throws Exception {
    SessionStore store = SessionStore.inMemory();
    podflare = new FakePodflare(mount(100, Duration.ofHours(1), store));
    String session = begin(FakePodflare.KEY);
    podflare.restart(
        new McpMount(
            new HttpSessions(
                100,
                Duration.ofHours(1),
                store,
                InstantSource.offset(InstantSource.system(), Duration.ofHours(2))),
            "1"));

    assertThat(post(session, run(1, "1")).statusCode()).isEqualTo(404);
  }

  @Test
  void theBoundHoldsForSessionsFromBeforeARestart() throws Exception {
    SessionStore store = SessionStore.inMemory();
    podflare = new FakePodflare(mount(2, Duration.ofHours(1), store));
    String first = begin(FakePodflare.KEY);
    begin(FakePodflare.KEY);
    podflare.restart(mount(2, Duration.ofHours(1), store));
    String third = begin(FakePodflare.KEY);

    assertThat(post(first, run(1, "1")).statusCode()).isEqualTo(404);
    assertThat(post(third, run(1, "1")).statusCode()).isEqualTo(200);
    assertThat(store.ofOwner("owner of " + FakePodflare.KEY)).hasSize(2);
  }

  @Test
  void anUnknownToolIsToldByItsName() throws Exception {
    start();
    JsonNode error = json(post(begin(FakePodflare.KEY), tool(1, "run_ruby", "{}"))).path("error");

    assertThat(error.path("code").asInt()).isEqualTo(-32602);
    assertThat(error.path("message").asString())
        .startsWith("Unknown tool: 'run_ruby'. The tools are: run_python, run_bash, ");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "{",
        "[]",
        "[{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"id\":1}]",
        "7",
        "null",
        "{}"
      })
  void whatIsNoMessageIsRefused(String body) throws Exception {
    start();
    HttpResponse<String> answer = post(begin(FakePodflare.KEY), body);

    assertThat(answer.statusCode()).isEqualTo(400);
    assertThat(json(answer).path("error").path("code").asInt()).isIn(-32700, -32600);
    assertThat(json(answer).path("id").isNull()).isTrue();
  }

  @Test
  void deepNestingIsRefused() throws Exception {
    start();
    String deep = "[".repeat(5000) + "]".repeat(5000);
    assertThat(
            post(
                    begin(FakePodflare.KEY),
                    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":" + deep + "}")
                .statusCode())
        .isEqualTo(400);
  }

  @Test
  void headersThatDoNotFitAreRefused() throws Exception {
    start();
    String session = begin(FakePodflare.KEY);
    HttpRequest.Builder text =
        request(FakePodflare.KEY)
            .setHeader("Content-Type", "text/plain")
            .header("Mcp-Session-Id", session)
            .POST(HttpRequest.BodyPublishers.ofString(run(1, "1")));
    assertThat(send(text).statusCode()).isEqualTo(415);
    HttpRequest.Builder html =
        request(FakePodflare.KEY)
            .setHeader("Accept", "text/html")
            .header("Mcp-Session-Id", session)
            .POST(HttpRequest.BodyPublishers.ofString(run(1, "1")));
    assertThat(send(html).statusCode()).isEqualTo(406);
    HttpRequest.Builder old =
        request(FakePodflare.KEY)
            .header("MCP-Protocol-Version", "1999-01-01")
            .header("Mcp-Session-Id", session)
            .POST(HttpRequest.BodyPublishers.ofString(run(1, "1")));
    assertThat(send(old).statusCode()).isEqualTo(400);
  }

  @ParameterizedTest
  @CsvSource({
    "http://evil.example, 403",
    "http://localhost.evil.example, 403",
    "null, 403",
    "http://localhost:6274, 200",
    "http://127.0.0.1, 200",
    "http://[::1]:8080, 200"
  })
  void aWebPageOfAnotherMachineMayNotCall(String origin, int status) throws Exception {
    start();
    assertThat(
            send(request(FakePodflare.KEY)
                    .header("Origin", origin)
                    .POST(HttpRequest.BodyPublishers.ofString(INITIALIZE)))
                .statusCode())
        .isEqualTo(status);
  }

  @Test
  void parametersOfInitializeThatAreNoneAreRefused() throws Exception {
    start();
    HttpResponse<String> answer =
        send(
            request(FakePodflare.KEY)
                .POST(
                    HttpRequest.BodyPublishers.ofString(
                        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":7}")));

    assertThat(answer.statusCode()).isEqualTo(400);
  }

  @Test
  void anUnknownMethodIsAnErrorOfTheProtocol() throws Exception {
    start();
    HttpResponse<String> answer =
        post(begin(FakePodflare.KEY), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no/such\"}");

    assertThat(json(answer).path("error").path("code").asInt()).isEqualTo(-32601);
  }
}
