package dev.podflare.mcp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.modelcontextprotocol.client.transport.ServerParameters;
import io.modelcontextprotocol.modern.McpException;
import io.modelcontextprotocol.modern.McpSchema;
import io.modelcontextprotocol.modern.client.McpClient;
import io.modelcontextprotocol.modern.client.McpSyncClient;
import io.modelcontextprotocol.modern.client.McpTimeoutException;
import io.modelcontextprotocol.modern.client.transport.HttpClientMcpTransport;
import io.modelcontextprotocol.modern.client.transport.McpClientTransport;
import io.modelcontextprotocol.modern.client.transport.StdioMcpClientTransport;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;
import reactor.core.publisher.Mono;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.json.JsonMapper;

/** The version of the protocol without sessions, by its own client, over both transports. */
@ParameterizedClass
@EnumSource(Client.Way.class)
class StatelessTest {

  private final FakePodflare podflare;
  private final McpClientTransport transport;
  private final McpSyncClient client;
  private final List<McpSchema.ProgressParams> progress = new CopyOnWriteArrayList<>();

  StatelessTest(Client.Way way) throws Exception {
    podflare = new FakePodflare();
    transport =
        way == Client.Way.STDIO
            ? StdioMcpClientTransport.builder(program(podflare.url(), FakePodflare.KEY))
                .jsonMapper(Json.MAPPER)
                .start()
            : HttpClientMcpTransport.builder(podflare.url() + "/mcp")
                .jsonMapper(Json.MAPPER)
                .requestCustomizer((_, headers, _) ->
                    Mono.fromRunnable(
                        () -> headers.set("Authorization", "Bearer " + FakePodflare.KEY)))
                .build();
    client = McpClient.sync(transport).jsonMapper(Json.MAPPER).build();
  }

  private static ServerParameters program(String... arguments) {
    List<String> all =
        new ArrayList<>(
            List.of(
                "-XX:TieredStopAtLevel=1",
                "-cp",
                System.getProperty("java.class.path"),
                StdioProgram.class.getName()));
    all.addAll(List.of(arguments));
    return ServerParameters.builder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString())
        .args(all)
        .build();
  }

  @AfterEach
  void stop() throws Exception {
    if (transport instanceof AutoCloseable closeable) {
      closeable.close();
    }
    podflare.close();
  }

  private McpSchema.CallToolResult call(String tool, Map<String, Object> arguments) {
    return client.tool(tool).arguments(arguments).call();
  }

  private static String text(McpSchema.CallToolResult result) {
    return ((McpSchema.TextContent) result.content().getFirst()).text();
  }

  private static Map<String, Object> structured(McpSchema.CallToolResult result) {
    return JsonMapper.shared().convertValue(result.structuredContent(), new TypeReference<>() {});
  }

  @Test
  void aClientDiscoversWhatIsThere() {
    McpSchema.DiscoverResult discovered = client.discover();
    assertThat(discovered.supportedVersions()).containsExactly("2026-07-28");
    assertThat(discovered.instructions()).contains("Begin with run_python without sandbox_id");
    assertThat(discovered.capabilities().tools()).isNotNull();
  }

  @Test
  void theFirstAnswerTellsASandboxThatLaterCallsName() {
    McpSchema.CallToolResult first = call("run_python", Map.of("code", "1+1"));
    String sandbox = podflare.open().getFirst();
    assertThat(text(first))
        .startsWith("stdout:\nran 1+1\nresult:\n2\nexit_code: 0\n\nsandbox_id: " + sandbox + "\n");
    assertThat(structured(first))
        .containsEntry("sandbox_id", sandbox)
        .containsEntry("exit_code", 0)
        .containsEntry("stdout", "ran 1+1\n")
        .containsEntry("result", "2");
    McpSchema.CallToolResult second =
        call("run_bash", Map.of("command", "ls", "sandbox_id", sandbox));
    assertThat(text(second)).isEqualTo("stdout:\nran ls\nresult:\n2\nexit_code: 0");
    assertThat(structured(second)).containsEntry("sandbox_id", sandbox);
    assertThat(podflare.open()).hasSize(1);
    assertThat(podflare.created.get(sandbox).path("persistent").asBoolean()).isTrue();
    assertThat(text(call("run_python", Map.of("code", "1")))).doesNotContain(sandbox);
    assertThat(podflare.open()).hasSize(2);
  }

  @Test
  void aPictureIsNotHiddenBehindStructuredContent() {
    McpSchema.CallToolResult result = call("run_python", Map.of("code", "figure"));
    assertThat(text(result)).contains("[image 1 below]", "sandbox_id: sbx_");
    assertThat(result.content().get(1)).isInstanceOf(McpSchema.ImageContent.class);
    assertThat(result.structuredContent()).isNull();
  }

  @Test
  void aToolThatNeedsASandboxSaysHowToGetOne() {
    for (String tool : List.of("fork", "freeze", "destroy_sandbox")) {
      assertThat(text(call(tool, Map.of())))
          .isEqualTo(Failure.of(Trouble.SANDBOX_ID_MISSING).forModel());
    }
    String gone = "sbx_" + "f".repeat(32);
    assertThat(text(call("run_python", Map.of("code", "1", "sandbox_id", gone))))
        .isEqualTo(Failure.of(Trouble.SANDBOX_NOT_FOUND).forModel());
    assertThat(podflare.open()).isEmpty();
  }

  @Test
  void aNewSandboxIsToldEvenIfTheCodeWasCut() {
    McpSchema.CallToolResult result = call("run_python", Map.of("code", "cut"));
    assertThat(result.isError()).isTrue();
    assertThat(((McpSchema.TextContent) result.content().getLast()).text())
        .startsWith("sandbox_id: " + podflare.open().getFirst());
  }

  @Test
  void whatCallsWithoutASessionMadeIsListed() {
    String first = structured(call("run_python", Map.of("code", "1"))).get("sandbox_id").toString();
    Object made = structured(call("create_sandbox", Map.of())).get("sandbox_id");
    Map<String, Object> forked = structured(call("fork", Map.of("sandbox_id", first)));
    Object child = ((List<?>) forked.get("children")).getFirst();
    try (Client other = Client.of(Client.Way.HTTP, podflare)) {
      other.call("run_python", Map.of("code", "1"));
      assertThat(listed(Map.of())).containsExactlyInAnyOrder(first, made, child);
      assertThat(listed(Map.of("all", true))).hasSize(4);
    }
  }

  private List<Object> listed(Map<String, Object> arguments) {
    return ((List<?>) structured(call("list_sandboxes", arguments)).get("sandboxes"))
        .stream().<Object>map(one -> ((Map<?, ?>) one).get("sandbox_id")).toList();
  }

  @Test
  void toolsSayWhichOfThemNeedASandbox() {
    McpSchema.ListToolsResult listed = client.tools().list();
    assertThat(listed.ttlMs()).isEqualTo(3_600_000);
    assertThat(listed.cacheScope()).isEqualTo(McpSchema.CacheScope.PUBLIC);
    for (McpSchema.Tool tool : listed.tools()) {
      boolean first = List.of("run_python", "run_bash", "upload").contains(tool.name());
      Map<?, ?> properties = (Map<?, ?>) tool.inputSchema().get("properties");
      if (properties.containsKey("sandbox_id")) {
        assertThat(((List<?>) tool.inputSchema().get("required")).contains("sandbox_id"))
            .as(tool.name())
            .isNotEqualTo(first);
      }
      assertThat(tool.description() + properties).doesNotContain("conversation's own");
    }
  }

  @Test
  void progressComesBeforeTheAnswerAndACallThatNobodyWaitsForIsInterrupted() {
    String sandbox =
        structured(call("run_python", Map.of("code", "1"))).get("sandbox_id").toString();
    assertThatThrownBy(() ->
            client
                .tool("run_python")
                .arguments(Map.of("code", "sleep", "sandbox_id", sandbox))
                .progress(progress::add)
                .callTimeout(Duration.ofSeconds(4))
                .call())
        .isInstanceOf(McpTimeoutException.class);
    assertThat(progress)
        .hasSizeGreaterThanOrEqualTo(2)
        .anySatisfy(note -> assertThat(note.message()).contains("running for", "asleep"));
    Eventually.is(() -> podflare.interrupts.contains(sandbox));
  }

  @Test
  void aSilentCallThatNobodyWaitsForIsInterruptedToo() {
    assertThatThrownBy(() ->
            client
                .tool("run_python")
                .arguments(Map.of("code", "sleep"))
                .callTimeout(Duration.ofSeconds(3))
                .call())
        .isInstanceOf(McpTimeoutException.class);
    Eventually.is(() -> !podflare.interrupts.isEmpty());
  }

  @Test
  void filesAreResourcesByTheSandboxesId() {
    String sandbox =
        structured(call("upload", Map.of("path", "a.txt", "content", "text")))
            .get("sandbox_id")
            .toString();
    McpSchema.Resource home = client.resources().list().resources().getFirst();
    assertThat(home.uri()).isEqualTo("podflare://sandboxes/" + sandbox + "/files/root");
    String uri = home.uri() + "/a.txt";
    assertThat(client.resource(uri).read().contents().getFirst())
        .isInstanceOfSatisfying(
            McpSchema.TextResourceContents.class,
            contents -> assertThat(contents.text()).isEqualTo("text"));
    for (String wrong :
        List.of(home.uri() + "/none", "podflare://sandboxes/own/files/root", "http://x")) {
      assertThatThrownBy(() -> client.resource(wrong).read())
          .isInstanceOfSatisfying(
              McpException.class, error -> assertThat(error.error().code()).isEqualTo(-32602));
    }
  }
}
