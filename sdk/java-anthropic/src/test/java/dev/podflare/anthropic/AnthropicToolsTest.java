package dev.podflare.anthropic;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.anthropic.core.JsonValue;
import com.anthropic.models.messages.ContentBlock;
import com.anthropic.models.messages.Message;
import com.anthropic.models.messages.MessageParam;
import com.anthropic.models.messages.ToolUnion;
import com.sun.net.httpserver.HttpServer;
import dev.podflare.sdk.Client;
import dev.podflare.sdk.Sandbox;
import dev.podflare.sdk.tools.Content;
import dev.podflare.sdk.tools.ToolAnswer;
import dev.podflare.sdk.tools.ToolLimits;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * How a turn is taken apart and its answer put together; {@link ConversationsTest} has the rest.
 */
class AnthropicToolsTest {
  private static final String SANDBOX = "sbx_0123456789abcdef0123456789abcdef";
  private static final String EVENTS =
      """
      {"type":"stdout","data":"42\\n","seq":0,"ts":1}
      {"type":"exit","data":0,"seq":1,"ts":1,"reason":"ok","state_kept":true,"duration_ms":1}
      """;

  private final List<String> execs = new CopyOnWriteArrayList<>();
  private HttpServer server;
  private Client client;
  private Sandbox sandbox;

  @BeforeEach
  void start() throws Exception {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext(
        "/",
        exchange -> {
          boolean runs = exchange.getRequestURI().getPath().endsWith("/exec");
          String body =
              new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
          if (runs) {
            execs.add(body);
          }
          String info = "{\"id\":\"" + SANDBOX + "\",\"state\":\"ready\"}";
          byte[] answer = (runs ? EVENTS : info).getBytes(StandardCharsets.UTF_8);
          exchange.sendResponseHeaders(200, answer.length);
          exchange.getResponseBody().write(answer);
          exchange.close();
        });
    server.start();
    client =
        Client.builder()
            .host("http://127.0.0.1:" + server.getAddress().getPort())
            .apiKey("a-key")
            .build();
    sandbox = client.connect(SANDBOX);
  }

  @AfterEach
  void stop() {
    client.close();
    server.stop(0);
  }

  @Test
  void the_definitions_are_what_the_api_takes() {
    List<Map<String, Object>> tools = new ArrayList<>();
    for (ToolUnion tool : AnthropicTools.TOOLS) {
      tools.add(Plain.fields(JsonValue.from(tool)));
    }
    assertThat(tools.get(0)).containsEntry("name", "run_python");
    assertThat(tools.get(0))
        .containsEntry(
            "input_schema",
            Map.of(
                "type",
                "object",
                "properties",
                Map.of("code", Map.of("type", "string", "description", "Python source")),
                "required",
                List.of("code")));
    assertThat(tools.subList(1, 3))
        .containsExactly(
            Map.of("type", "bash_20250124", "name", "bash"),
            Map.of("type", "text_editor_20250728", "name", "str_replace_based_edit_tool"));
    assertThat(Plain.fields(JsonValue.from(AnthropicTools.RUN_BASH)))
        .containsEntry("name", "run_bash");
  }

  @Test
  void code_execution_is_answered_exactly_as_the_contract_says() {
    ContentBlock block = call("toolu_1", "code_execution", Map.of("code", "print(42)"));
    assertThat(json(AnthropicTools.handleCodeExecutionToolUse(block, sandbox)))
        .isEqualTo(
            Map.of(
                "type",
                "tool_result",
                "tool_use_id",
                "toolu_1",
                "content",
                List.of(Map.of("type", "text", "text", "stdout:\n42\n\nstderr:\n\nexit_code: 0")),
                "is_error",
                false));
    assertThat(execs)
        .containsExactly(
            "{\"code\":\"print(42)\",\"language\":\"python\",\"timeout_seconds\":300.0}");
  }

  @Test
  void a_block_that_takes_no_answer_is_refused_with_the_reason() {
    ContentBlock server =
        block(
            Map.of(
                "type", "server_tool_use", "id", "s", "name", "code_execution", "input", Map.of()));
    assertThatThrownBy(() -> AnthropicTools.handleCodeExecutionToolUse(server, sandbox))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "a block of type 'server_tool_use' can't be answered: the provider has run it already"
                + " and its result is in the same message");
    ContentBlock text = block(Map.of("type", "text", "text", "code"));
    assertThatThrownBy(() -> AnthropicTools.handleCodeExecutionToolUse(text, sandbox))
        .hasMessage("a block of type 'text' can't be answered: it is no tool call");
    assertThat(execs).isEmpty();
  }

  @Test
  void input_that_is_no_object_is_told_to_the_model() {
    for (Object input : List.of("print(1)", 7, List.of("code"))) {
      Message turn = turn("tool_use", call("toolu_1", "run_python", input));
      assertThat(results(turn, TurnOptions.usual()).get(0))
          .containsEntry("is_error", true)
          .containsEntry(
              "content",
              List.of(
                  Map.of(
                      "type",
                      "text",
                      "text",
                      "error: the input needs 'code', a string. Call again with it")));
    }
    assertThat(execs).isEmpty();
  }

  @Test
  void a_turn_that_asks_for_nothing_has_no_answer() {
    assertThat(
            AnthropicTools.runTools(
                turn("end_turn", block(Map.of("type", "text", "text", "Done."))), sandbox))
        .isEmpty();
    assertThat(AnthropicTools.runTools(turn("pause_turn"), sandbox)).isEmpty();
  }

  @Test
  void a_call_that_max_tokens_cut_off_is_not_carried_out() {
    Message turn =
        turn(
            "max_tokens",
            call("toolu_1", "run_python", Map.of("code", "1")),
            call("toolu_2", "run_python", Map.of("code", "rm")));
    List<Map<String, Object>> results = results(turn, TurnOptions.usual());
    assertThat(results.get(0)).containsEntry("is_error", false);
    assertThat(results.get(1))
        .containsEntry("tool_use_id", "toolu_2")
        .containsEntry("is_error", true);
    assertThat(results.get(1).toString()).contains("max_tokens ended your turn");
    assertThat(execs).hasSize(1);
  }

  @Test
  void own_tools_are_carried_out_and_what_they_throw_is_told() {
    TurnOptions options =
        TurnOptions.usual()
            .withLimits(ToolLimits.usual().withCharacters(40))
            .withTool("weather", input -> ToolAnswer.of("21 °C in " + input.get("city")))
            .withTool("long", input -> ToolAnswer.of("x".repeat(50)))
            .withTool(
                "drawing",
                input ->
                    new ToolAnswer(List.of(new Content.Image("image/png", "iVBORw0KGgo=")), false))
            .withTool(
                "broken",
                input -> {
                  throw new java.io.IOException("no line");
                });
    Message turn =
        turn(
            "tool_use",
            call("toolu_1", "weather", Map.of("city", "Paris")),
            call("toolu_2", "long", Map.of()),
            call("toolu_3", "drawing", Map.of()),
            call("toolu_4", "broken", Map.of()),
            call("toolu_5", "run_python", Map.of("code", "6 * 7")),
            call("toolu_6", "unknown", Map.of()));
    List<Map<String, Object>> results = results(turn, options);
    assertThat(results.get(0)).containsEntry("content", text("21 °C in Paris"));
    assertThat(results.get(1).toString()).contains("[… 10 characters are left out here.");
    assertThat(results.get(2))
        .containsEntry(
            "content",
            List.of(
                Map.of(
                    "type",
                    "image",
                    "source",
                    Map.of("type", "base64", "media_type", "image/png", "data", "iVBORw0KGgo="))));
    assertThat(results.get(3))
        .containsEntry("is_error", true)
        .containsEntry("content", text("error: IOException: no line"));
    assertThat(results.get(4)).containsEntry("content", text("42"));
    assertThat(results.get(5).toString())
        .contains("unknown tool 'unknown'. The tools here are run_python,")
        .contains("text_editor_code_execution, weather, long, drawing, broken");
  }

  @Test
  void the_ids_of_files_are_found_wherever_they_stand() {
    Message turn =
        turn(
            "end_turn",
            block(Map.of("type", "container_upload", "file_id", "file_1")),
            block(
                Map.of(
                    "type",
                    "code_execution_tool_result",
                    "tool_use_id",
                    "srvtoolu_1",
                    "content",
                    Map.of(
                        "type",
                        "code_execution_result",
                        "stdout",
                        "",
                        "stderr",
                        "",
                        "return_code",
                        0,
                        "content",
                        List.of(
                            Map.of("type", "code_execution_output", "file_id", "file_2"),
                            Map.of("type", "code_execution_output", "file_id", "file_1"))))));
    assertThat(AnthropicFiles.idsIn(turn)).containsExactly("file_1", "file_2");
  }

  private static List<Map<String, String>> text(String text) {
    return List.of(Map.of("type", "text", "text", text));
  }

  @SuppressWarnings("unchecked") // What JSON has been made of.
  private List<Map<String, Object>> results(Message turn, TurnOptions options) {
    Optional<MessageParam> answer = AnthropicTools.runTools(turn, sandbox, options);
    Map<String, Object> message = json(answer.orElseThrow());
    assertThat(message).containsEntry("role", "user");
    return (List<Map<String, Object>>) message.get("content");
  }

  private static Map<String, Object> json(Object ofTheLibrary) {
    return Plain.fields(JsonValue.from(ofTheLibrary));
  }

  private static ContentBlock call(String id, String name, Object input) {
    return block(Map.of("type", "tool_use", "id", id, "name", name, "input", input));
  }

  private static ContentBlock block(Map<String, Object> fields) {
    return JsonValue.from(fields).convert(ContentBlock.class);
  }

  private static Message turn(String stopReason, ContentBlock... content) {
    List<Object> blocks = new ArrayList<>();
    for (ContentBlock block : content) {
      blocks.add(JsonValue.from(block));
    }
    return JsonValue.from(
            Map.of(
                "id",
                "msg_1",
                "type",
                "message",
                "role",
                "assistant",
                "model",
                "a-model",
                "content",
                blocks,
                "stop_reason",
                stopReason,
                "usage",
                Map.of("input_tokens", 1, "output_tokens", 1)))
        .convert(Message.class);
  }
}
