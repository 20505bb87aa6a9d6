package dev.podflare.mcp;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A program without a server that it could use stays, and its tools say what to do. */
class UnconfiguredTest {

  private static final String CALL =
      """
      {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run_python",\
      "arguments":{"code":"1"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",\
      "io.modelcontextprotocol/clientCapabilities":{}}}}
      """;

  private static String said(ServerAccess access) throws Exception {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (StdioServer server = StdioServer.to(access, Map.of(), "1")) {
      server.serve(new ByteArrayInputStream(CALL.getBytes(StandardCharsets.UTF_8)), out);
    }
    JsonNode result = JsonMapper.shared().readTree(out.toByteArray()).path("result");
    assertThat(result.path("isError").asBoolean()).isTrue();
    return result.path("content").get(0).path("text").asString();
  }

  @Test
  void withoutAConfigurationTheToolsSayHowToMakeOne() throws Exception {
    assertThat(
            said(() -> {
              throw new ServerAccess.NoServerException("There are no credentials here");
            }))
        .startsWith("Error no_server: There are no credentials here.\nWhy: ")
        .contains("podflare up --detach", "PODFLARE_HOSTD_URL", "PODFLARE_API_KEY");
  }

  @ParameterizedTest
  @CsvSource({
    "localhost:7070,no_server",
    "not a url,no_server",
    "ftp://127.0.0.1,no_server",
    "http://127.0.0.1:1,server_unreachable",
    "http://nowhere.invalid:7070,server_unreachable",
  })
  void aServerThatIsNoneIsToldWithoutClassNames(String url, String code) throws Exception {
    assertThat(said(ServerAccess.to(url, "k")))
        .startsWith("Error " + code + ": ")
        .contains(url)
        .doesNotContain("Exception");
  }

  @Test
  void aKeyThatIsNoneIsToldAsOne() throws Exception {
    assertThat(said(ServerAccess.to("http://127.0.0.1:1", "a\nb")))
        .startsWith("Error invalid_api_key: ");
  }

  @Test
  void aWrongKeyAndAServerThatIsStartedLateAreFoundAtTheNextCall() throws Exception {
    try (FakePodflare podflare = new FakePodflare()) {
      assertThat(said(ServerAccess.to(podflare.url(), "wrong")))
          .startsWith("Error invalid_api_key: invalid api key.");
      assertThat(said(ServerAccess.to(podflare.url(), ""))).startsWith("Error invalid_api_key: ");
    }
  }
}
