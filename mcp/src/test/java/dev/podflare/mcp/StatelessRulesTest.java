package dev.podflare.mcp;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What the version without sessions takes and refuses over HTTP, byte by byte. */
class StatelessRulesTest {

  private static final String VERSION = "2026-07-28";

  private FakePodflare podflare;
  private final HttpClient http = HttpClient.newHttpClient();

  @BeforeEach
  void start() throws Exception {
    podflare = new FakePodflare();
  }

  @AfterEach
  void stop() {
    podflare.close();
    http.close();
  }

  private static String message(String method, String params) {
    return "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\""
        + method
        + "\",\"params\":{"
        + params
        + "}}";
  }

  private static String meta(String version) {
    return "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\""
        + version
        + "\",\"io.modelcontextprotocol/clientCapabilities\":{}}";
  }

  private HttpResponse<String> post(String body, Map<String, String> headers) throws Exception {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create(podflare.url() + "/mcp"))
            .timeout(Duration.ofSeconds(30))
            .header("Authorization", "Bearer " + FakePodflare.KEY)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json, text/event-stream")
            .POST(HttpRequest.BodyPublishers.ofString(body));
    headers.forEach(request::header);
    return http.send(request.build(), HttpResponse.BodyHandlers.ofString());
  }

  private static JsonNode json(HttpResponse<String> answer) {
    return JsonMapper.shared().readTree(answer.body());
  }

  private static void assertError(HttpResponse<String> answer, int status, int code) {
    assertThat(answer.statusCode()).as(answer.body()).isEqualTo(status);
    assertThat(json(answer).path("error").path("code").asInt()).isEqualTo(code);
  }

  @Test
  void discoveryTellsVersionsAndCacheHints() throws Exception {
    HttpResponse<String> answer =
        post(
            message("server/discover", meta(VERSION)),
            Map.of("MCP-Protocol-Version", VERSION, "Mcp-Method", "server/discover"));
    assertThat(answer.statusCode()).isEqualTo(200);
    assertThat(answer.headers().firstValue("Mcp-Session-Id")).isEmpty();
    JsonNode result = json(answer).path("result");
    assertThat(result.path("supportedVersions").get(0).asString()).isEqualTo(VERSION);
    assertThat(result.path("resultType").asString()).isEqualTo("complete");
    assertThat(result.path("ttlMs").asInt()).isPositive();
    assertThat(
            result.path("_meta").path("io.modelcontextprotocol/serverInfo").path("name").asString())
        .isEqualTo("podflare");
  }

  /** In these, {@code -} is a header that is missing. */
  @ParameterizedTest
  @CsvSource({
    "2026-07-28,tools/call,run_python,200,0",
    "2026-07-28,tools/call, run_python ,200,0",
    "-,tools/call,run_python,400,-32020",
    "2025-11-25,tools/call,run_python,400,-32020",
    "2026-07-28,-,run_python,400,-32020",
    "2026-07-28,TOOLS/CALL,run_python,400,-32020",
    "2026-07-28,tools/call,-,400,-32020",
    "2026-07-28,tools/call,run_bash,400,-32020",
  })
  void headersMustSayWhatTheBodySays(
      String version, String method, String name, int status, int code) throws Exception {
    Map<String, String> headers = new HashMap<>();
    headers.put("MCP-Protocol-Version", version);
    headers.put("Mcp-Method", method);
    headers.put("Mcp-Name", name);
    headers.values().removeIf("-"::equals);
    assertError(
        post(
            message(
                "tools/call",
                "\"name\":\"run_python\",\"arguments\":{\"code\":\"1\"}," + meta(VERSION)),
            headers),
        status,
        code);
  }

  @Test
  void aNameMayComeInBase64() throws Exception {
    String uri = "podflare://sandboxes/sbx_" + "0".repeat(32) + "/files/root/ü";
    String encoded =
        "=?base64?"
            + Base64.getEncoder().encodeToString(uri.getBytes(StandardCharsets.UTF_8))
            + "?=";
    HttpResponse<String> answer =
        post(
            message("resources/read", "\"uri\":\"" + uri + "\"," + meta(VERSION)),
            Map.of(
                "MCP-Protocol-Version",
                VERSION,
                "Mcp-Method",
                "resources/read",
                "Mcp-Name",
                encoded));
    assertError(answer, 400, -32602);
    assertThat(json(answer).path("error").path("data").path("uri").asString()).isEqualTo(uri);
  }

  @Test
  void aVersionThatIsNotSpokenIsAnsweredWithThoseThatAre() throws Exception {
    HttpResponse<String> answer =
        post(
            message("tools/list", meta("2099-01-01")),
            Map.of("MCP-Protocol-Version", "2099-01-01", "Mcp-Method", "tools/list"));
    assertError(answer, 400, -32022);
    JsonNode data = json(answer).path("error").path("data");
    assertThat(data.path("supported").get(0).asString()).isEqualTo(VERSION);
    assertThat(data.path("requested").asString()).isEqualTo("2099-01-01");
    assertThat(json(answer).path("id").asString()).isEqualTo("x");
  }

  @ParameterizedTest
  @CsvSource({"ping", "initialize", "logging/setLevel", "prompts/list", "no/such"})
  void whatTheVersionDoesNotHaveIsNotFound(String method) throws Exception {
    assertError(
        post(
            message(method, meta(VERSION)),
            Map.of("MCP-Protocol-Version", VERSION, "Mcp-Method", method)),
        404,
        -32601);
  }

  @Test
  void anUnknownToolIsToldByItsName() throws Exception {
    HttpResponse<String> answer =
        post(
            message("tools/call", "\"name\":\"run_ruby\"," + meta(VERSION)),
            Map.of(
                "MCP-Protocol-Version", VERSION,
                "Mcp-Method", "tools/call",
                "Mcp-Name", "run_ruby"));
    assertError(answer, 400, -32602);
    assertThat(json(answer).path("error").path("message").asString())
        .startsWith("Unknown tool: 'run_ruby'. The tools are: run_python, ");
  }

  @Test
  void metadataIsNeeded() throws Exception {
    for (String params : new String[] {"", "\"_meta\":{}", "\"_meta\":7"}) {
      assertError(
          post(
              message("tools/list", params),
              Map.of("MCP-Protocol-Version", VERSION, "Mcp-Method", "tools/list")),
          400,
          -32602);
    }
    assertError(post("[]", Map.of("MCP-Protocol-Version", VERSION)), 400, -32600);
    assertError(post("{", Map.of("MCP-Protocol-Version", VERSION)), 400, -32700);
  }

  @Test
  void anIdOfASessionIsPassedOver() throws Exception {
    HttpResponse<String> answer =
        post(
            message("tools/list", meta(VERSION)),
            Map.of(
                "MCP-Protocol-Version", VERSION,
                "Mcp-Method", "tools/list",
                "Mcp-Session-Id", "of another time"));
    assertThat(answer.statusCode()).isEqualTo(200);
  }

  @Test
  void aSessionBeginsOnTheSameAddress() throws Exception {
    HttpResponse<String> answer =
        post(
            message(
                "initialize",
                "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"
                    + "\"clientInfo\":{\"name\":\"t\",\"version\":\"1\"}"),
            Map.of("MCP-Protocol-Version", VERSION));
    assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
    assertThat(answer.headers().firstValue("Mcp-Session-Id")).isPresent();
  }
}
