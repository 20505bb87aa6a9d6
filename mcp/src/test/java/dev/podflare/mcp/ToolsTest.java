package dev.podflare.mcp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.modelcontextprotocol.spec.McpError;
import io.modelcontextprotocol.spec.McpSchema;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Every tool, by the protocol's own client, over both transports. */
@ParameterizedClass
@EnumSource(Client.Way.class)
class ToolsTest {

  private final FakePodflare podflare;
  private final Client client;

  ToolsTest(Client.Way way) throws Exception {
    podflare = new FakePodflare();
    client = Client.of(way, podflare);
  }

  @AfterEach
  void stop() {
    client.close();
    podflare.close();
  }

  private static final String NOBODY = "sbx_" + "f".repeat(32);

  @Test
  void aClientIsToldWhatIsThereAndHowToBegin() {
    assertThat(client.protocol.getServerInfo().name()).isEqualTo("podflare");
    assertThat(client.protocol.getServerInfo().version()).isEqualTo("1.2.3");
    assertThat(client.protocol.getServerInstructions()).contains("begin with run_python");
    List<McpSchema.Tool> tools = client.protocol.listTools().tools();
    assertThat(tools.stream().map(McpSchema.Tool::name))
        .containsExactly(
            "run_python",
            "run_bash",
            "upload",
            "download",
            "fork",
            "diff",
            "merge_into",
            "create_sandbox",
            "list_sandboxes",
            "destroy_sandbox",
            "freeze",
            "resume",
            "delete_space",
            "list_templates");
    assertThat(tools)
        .allSatisfy(tool -> {
          assertThat(tool.description()).hasSizeGreaterThan(80).doesNotContain("\n");
          assertThat(tool.inputSchema()).containsEntry("type", "object");
          assertThat(tool.outputSchema()).isNull();
        });
  }

  @Test
  void aConnectionHasASandboxOfItsOwnFromItsFirstUseToItsEnd() {
    assertThat(podflare.open()).isEmpty();
    assertThat(client.text("run_python", Map.of("code", "1+1")))
        .isEqualTo("stdout:\nran 1+1\nresult:\n2\nexit_code: 0");
    assertThat(client.text("run_bash", Map.of("command", "ls"))).contains("ran ls");
    assertThat(podflare.open()).hasSize(1);
    assertThat(podflare.created.get(podflare.open().getFirst()).path("persistent").asBoolean())
        .isTrue();
    assertThat(podflare.execs.getLast().path("language").asString()).isEqualTo("bash");
    assertThat(podflare.execs.getLast().path("timeout_seconds").asDouble()).isEqualTo(300);
    client.close();
    Eventually.is(() -> podflare.open().isEmpty());
  }

  @Test
  void forksOfTheOwnSandboxGoWithItAndOthersStay() {
    JsonFork fork = new JsonFork(client.json("fork", Map.of("n", 2)));
    String made =
        client
            .json("create_sandbox", Map.of("template", "python-datasci", "auto_install", true))
            .path("sandbox_id")
            .asString();
    assertThat(podflare.created.get(made).path("template").asString()).isEqualTo("python-datasci");
    assertThat(podflare.created.get(made).path("auto_install").asBoolean()).isTrue();
    assertThat(podflare.open()).contains(fork.parent(), made).containsAll(fork.children());
    client.close();
    Eventually.is(() -> podflare.open().equals(List.of(made)));
  }

  @Test
  void codeThatFailsIsAnErrorThatTheModelReads() {
    McpSchema.CallToolResult result = client.call("run_python", Map.of("code", "fail"));
    assertThat(result.isError()).isTrue();
    assertThat(Client.textOf(result)).isEqualTo("stderr:\nValueError: no\nexit_code: 1");
  }

  @Test
  void anEndFromOutsideIsExplained() {
    assertThat(client.text("run_python", Map.of("code", "oom")))
        .contains("exit_code: 137")
        .contains(Ending.OOM.forModel())
        .contains(Ending.STATE_LOST);
  }

  @Test
  void codeWhoseTimePassedWhileItWaitedIsToldAsNotRun() {
    assertThat(client.text("run_python", Map.of("code", "queued")))
        .isEqualTo("exit_code: 124\n\n" + Ending.NOT_RUN.forModel());
  }

  @Test
  void picturesAreImageContent() {
    McpSchema.CallToolResult result = client.call("run_python", Map.of("code", "figure"));
    assertThat(Client.textOf(result)).contains("<Figure> [image 1 below]");
    assertThat(result.content().get(1))
        .isInstanceOfSatisfying(
            McpSchema.ImageContent.class,
            image -> {
              assertThat(image.mimeType()).isEqualTo("image/png");
              assertThat(image.data()).isEqualTo("iVBORw0KGgo=");
            });
    assertThat(result.structuredContent()).isNull();
  }

  @Test
  void longOutputLosesItsMiddleAndSaysSo() {
    String text = client.text("run_python", Map.of("code", "long"));
    assertThat(text)
        .hasSizeLessThan(21_000)
        .contains("line 0 ", "line 999 ", "characters left out here")
        .doesNotContain("line 500 ");
  }

  @Test
  void redrawsAndColoursAreNotRepeated() {
    assertThat(client.text("run_python", Map.of("code", "redraw")))
        .isEqualTo("stdout:\n1999/2000\nstderr:\nred\nexit_code: 0");
  }

  @Test
  void aConversationSeesItsOwnSandboxesUnlessItAsksForAll() throws Exception {
    client.call("run_python", Map.of("code", "1"));
    String own = podflare.open().getFirst();
    String made = client.json("create_sandbox", Map.of()).path("sandbox_id").asString();
    String fork = new JsonFork(client.json("fork", Map.of())).children().getFirst();
    String others;
    try (Client other = Client.of(Client.Way.HTTP, podflare)) {
      others = other.json("create_sandbox", Map.of()).path("sandbox_id").asString();
      assertThat(ids(other.json("list_sandboxes", Map.of()))).containsExactly(others);
    }
    assertThat(ids(client.json("list_sandboxes", Map.of())))
        .containsExactlyInAnyOrder(own, made, fork);
    assertThat(ids(client.json("list_sandboxes", Map.of("all", true))))
        .containsExactlyInAnyOrder(own, made, fork, others);
    assertThat(client.text("destroy_sandbox", Map.of("sandbox_id", others))).contains(others);
  }

  private static List<String> ids(tools.jackson.databind.JsonNode listed) {
    return listed.path("sandboxes").values().stream()
        .map(sandbox -> sandbox.path("sandbox_id").asString())
        .toList();
  }

  @Test
  void templatesAreListedAndSpacesAreDeleted() {
    assertThat(client.json("list_templates", Map.of()).path("templates").get(0).toString())
        .isEqualTo("{\"name\":\"default\",\"state\":\"ready\"}");
    String space = "spc_" + "1".repeat(32);
    assertThat(client.json("delete_space", Map.of("space_id", space)).path("deleted").asString())
        .isEqualTo(space);
    assertThat(client.text("delete_space", Map.of("space_id", "spc_" + "0".repeat(32))))
        .isEqualTo(Failure.of(Trouble.SPACE_NOT_FOUND).forModel());
  }

  @Test
  void aWaitingClientHearsOfProgressAndACancelledCallIsInterrupted() throws Exception {
    Thread waiting =
        Thread.ofVirtual()
            .start(() ->
                assertThatThrownBy(() ->
                        client.protocol.callTool(
                            McpSchema.CallToolRequest.builder("run_python")
                                .arguments(Map.of("code", "sleep"))
                                .progressToken("p1")
                                .build()))
                    .isInstanceOf(Exception.class));
    Eventually.is(() -> client.progress.size() >= 2);
    assertThat(client.progress.getFirst().progressToken()).isEqualTo("p1");
    // The first one may come before the code has said anything.
    Eventually.is(() ->
        client.progress.stream()
            .anyMatch(note -> note.message().matches("(?s)running for \\d+ s: asleep.*")));
    assertThat(client.progress.get(1).progress()).isGreaterThan(client.progress.get(0).progress());
    client.close();
    Eventually.is(() -> !podflare.interrupts.isEmpty());
    assertThat(waiting.join(Duration.ofSeconds(100))).isTrue();
  }

  @Test
  void filesGoInAndOut() {
    assertThat(
            client
                .json("upload", Map.of("path", "a.txt", "content", "hällo"))
                .path("bytes")
                .asInt())
        .isEqualTo(6);
    assertThat(client.text("download", Map.of("path", "/root/a.txt"))).isEqualTo("hällo");
    byte[] bytes = {0, 1, -1, -2};
    String base64 = Base64.getEncoder().encodeToString(bytes);
    client.call("upload", Map.of("path", "/tmp/b", "content_base64", base64));
    assertThat(client.text("download", Map.of("path", "/tmp/b"))).isEqualTo(base64);
    client.call("upload", Map.of("path", "/tmp/c.png", "content_base64", base64));
    assertThat(client.call("download", Map.of("path", "/tmp/c.png")).content().getFirst())
        .isInstanceOf(McpSchema.ImageContent.class);
    assertThat(client.text("download", Map.of("path", "/tmp/c.png", "encoding", "base64")))
        .isEqualTo(base64);
  }

  @Test
  void aFileBeyondTheLimitIsRefusedOnBothWays() {
    String large = "x".repeat(FileTools.MOST_BYTES);
    assertThat(client.call("upload", Map.of("path", "l", "content", large)).isError()).isFalse();
    assertThat(client.text("download", Map.of("path", "l"))).hasSize(large.length());
    assertThat(client.text("upload", Map.of("path", "l", "content", large + "x")))
        .startsWith("Error file_too_large: ");
  }

  @Test
  void branchesAreComparedAndTheWinnerIsMerged() {
    JsonFork fork = new JsonFork(client.json("fork", Map.of()));
    String child = fork.children().getFirst();
    assertThat(client.text("diff", Map.of("other_id", child)))
        .contains("\"added\":[\"/root/a\"]", "\"modified\":{\"x\":{")
        .contains("\"y\":\"2\"");
    assertThat(client.text("merge_into", Map.of("winner_id", child, "mode", "files")))
        .startsWith("Error merge_conflict: Files were changed on both sides. Files: /root/a.");
    assertThat(
            client
                .json(
                    "merge_into",
                    Map.of("winner_id", child, "mode", "files", "on_conflict", "winner"))
                .path("modified")
                .toString())
        .isEqualTo("[\"/root/a\"]");
    assertThat(client.json("merge_into", Map.of("winner_id", child)).path("gone").asString())
        .isEqualTo(child);
    assertThat(podflare.open()).containsExactly(fork.parent());
  }

  @Test
  void sandboxesAreListedFrozenResumedAndDestroyed() {
    client.call("run_python", Map.of("code", "1"));
    assertThat(
            client
                .json("list_sandboxes", Map.of())
                .path("sandboxes")
                .get(0)
                .path("own")
                .asBoolean())
        .isTrue();
    // The other Space is one that a persistent sandbox sleeps in.
    assertThat(client.json("list_sandboxes", Map.of()).path("spaces").size()).isEqualTo(1);
    assertThat(client.json("freeze", Map.of()).path("space_id").asString()).startsWith("spc_");
    assertThat(podflare.open()).isEmpty();
    String resumed =
        client
            .json("resume", Map.of("space_id", "spc_" + "0".repeat(32)))
            .path("sandbox_id")
            .asString();
    assertThat(podflare.open()).containsExactly(resumed);
    assertThat(
            client
                .json("destroy_sandbox", Map.of("sandbox_id", resumed))
                .path("destroyed")
                .asString())
        .isEqualTo(resumed);
    assertThat(podflare.open()).isEmpty();
    assertThat(client.text("destroy_sandbox", Map.of())).contains("no sandbox yet");
  }

  @Test
  void aWrongArgumentIsToldByItsName() {
    assertThat(client.text("run_python", Map.of("code", "1", "timeout", 3)))
        .startsWith(
            "Error bad_argument: There is no argument 'timeout'; this tool has code, "
                + "sandbox_id, timeout_seconds.\nWhy: ");
    assertThat(client.text("run_python", Map.of())).contains("The argument code is missing.");
    assertThat(client.text("run_python", Map.of("code", 1))).contains("code must be a string.");
    assertThat(client.text("run_python", Map.of("code", "1", "sandbox_id", "../x")))
        .contains("sandbox_id must be a sandbox's id");
    assertThat(client.text("run_python", Map.of("code", "1", "timeout_seconds", 0)))
        .contains("must be a number from 0.1");
    assertThat(client.text("fork", Map.of("n", 101))).contains("a whole number from 1 to 100");
    assertThat(client.text("upload", Map.of("path", "x"))).contains("Exactly one of content");
    assertThat(client.text("upload", Map.of("path", "x", "content_base64", "%")))
        .contains("is not base64");
    assertThat(podflare.open()).isEmpty();
  }

  @Test
  void theOtherNameOfACommandIsUnderstood() {
    assertThat(client.text("run_bash", Map.of("code", "ls"))).contains("ran ls");
  }

  @Test
  void aSandboxThatIsGoneIsToldApartFromTheOwnOne() {
    assertThat(client.text("run_python", Map.of("code", "1", "sandbox_id", NOBODY)))
        .isEqualTo(Failure.of(Trouble.SANDBOX_NOT_FOUND).forModel());
    client.call("run_python", Map.of("code", "1"));
    assertThat(client.text("diff", Map.of("other_id", NOBODY))).isNotNull();
    podflare.lose(podflare.open().getFirst());
    assertThat(client.text("run_python", Map.of("code", "1")))
        .isEqualTo(Failure.of(Trouble.OWN_SANDBOX_GONE).forModel());
    assertThat(client.text("run_python", Map.of("code", "1"))).contains("exit_code: 0");
  }

  @Test
  void anExecThatWasCutHasNoKnownOutcome() {
    assertThat(client.text("run_python", Map.of("code", "cut")))
        .isEqualTo(Failure.of(Trouble.OUTCOME_UNKNOWN).forModel());
  }

  @Test
  void filesAreResources() {
    assertThat(client.protocol.listResources().resources()).isEmpty();
    client.call("upload", Map.of("path", "a b.txt", "content", "text"));
    McpSchema.Resource resource = client.protocol.listResources().resources().getFirst();
    assertThat(resource.uri()).isEqualTo("podflare://sandboxes/own/files/root/a%20b.txt");
    assertThat(client.protocol.readResource(resource).contents().getFirst())
        .isInstanceOfSatisfying(
            McpSchema.TextResourceContents.class,
            contents -> {
              assertThat(contents.text()).isEqualTo("text");
              assertThat(contents.mimeType()).isEqualTo("text/plain");
            });
    String byId = resource.uri().replace("own", podflare.open().getFirst());
    assertThat(read(byId)).isInstanceOf(McpSchema.TextResourceContents.class);
    assertThat(read("podflare://sandboxes/own/files/root"))
        .isInstanceOfSatisfying(
            McpSchema.TextResourceContents.class,
            contents -> assertThat(contents.text()).contains("a b.txt"));
    assertThat(client.protocol.listResourceTemplates().resourceTemplates().getFirst().uriTemplate())
        .isEqualTo("podflare://sandboxes/{sandbox_id}/files/{+path}");
  }

  @Test
  void aResourceThatIsNotThereIsAnErrorOfTheProtocol() {
    assertThatThrownBy(() -> read("podflare://sandboxes/own/files/root/none"))
        .isInstanceOfSatisfying(
            McpError.class,
            error -> {
              assertThat(error.getJsonRpcError().code()).isEqualTo(-32002);
              assertThat(error.getJsonRpcError().message()).startsWith("Error file_not_found: ");
            });
    assertThatThrownBy(() -> read("podflare://sandboxes/../files/x")).isInstanceOf(McpError.class);
  }

  private McpSchema.ResourceContents read(String uri) {
    return client
        .protocol
        .readResource(McpSchema.ReadResourceRequest.builder(uri).build())
        .contents()
        .getFirst();
  }

  private record JsonFork(tools.jackson.databind.JsonNode node) {
    String parent() {
      return node.path("parent").asString();
    }

    List<String> children() {
      return node.path("children").values().stream().map(child -> child.asString()).toList();
    }
  }
}
