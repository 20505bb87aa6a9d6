package dev.podflare.anthropic;

import static org.assertj.core.api.Assertions.assertThat;

import com.anthropic.client.AnthropicClient;
import com.anthropic.core.JsonValue;
import com.anthropic.core.http.HttpResponse;
import com.anthropic.core.http.StreamResponse;
import com.anthropic.helpers.MessageAccumulator;
import com.anthropic.models.messages.CodeExecutionTool20250825;
import com.anthropic.models.messages.ContainerUploadBlockParam;
import com.anthropic.models.messages.ContentBlock;
import com.anthropic.models.messages.ContentBlockParam;
import com.anthropic.models.messages.Message;
import com.anthropic.models.messages.MessageCreateParams;
import com.anthropic.models.messages.MessageParam;
import com.anthropic.models.messages.RawMessageStreamEvent;
import com.anthropic.models.messages.StopReason;
import com.anthropic.models.messages.Tool;
import com.anthropic.models.messages.ToolResultBlockParam;
import com.anthropic.models.messages.ToolUseBlock;
import com.fasterxml.jackson.core.type.TypeReference;
import dev.podflare.sdk.ExecResult;
import dev.podflare.sdk.Podflare;
import dev.podflare.sdk.Sandbox;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Whole conversations with a model, by Anthropic's own client: a fake of the Messages API replays
 * them and checks every answer; the tools run in a real sandbox of the server that the SDK finds.
 */
@Tag("live")
@Timeout(180)
class ConversationsTest {
  private static final String MODEL = "a-model";
  private static final int MOST_TURNS = 10;
  private static final Path REPOSITORY = Path.of("../../examples/data/shop");

  /** Those whose tools or first words are others; they have tests of their own. */
  private static final Set<String> APART = Set.of("tutorial", "code_execution", "files", "review");

  private static FakeMessagesApi api;

  @BeforeAll
  static void start() throws IOException {
    api = new FakeMessagesApi();
  }

  @AfterAll
  static void stop() {
    api.close();
  }

  static Stream<String> conversations() throws IOException {
    List<String> names = FakeMessagesApi.names();
    assertThat(names).hasSizeGreaterThan(10);
    return names.stream().filter(name -> !APART.contains(name));
  }

  @ParameterizedTest
  @MethodSource("conversations")
  void every_conversation_is_had_to_its_end(String name) throws Exception {
    AnthropicClient client = api.client(name);
    try (Sandbox sandbox = Podflare.create(options -> options.template("python-datasci"))) {
      assertHad(name, have("Go.", client.messages()::create, sandbox));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"plain", "parallel", "pause", "server_blocks"})
  void streamed_ones_too(String name) throws Exception {
    AnthropicClient client = api.client(name);
    try (Sandbox sandbox = Podflare.create()) {
      assertHad(name, have("Go.", said -> streamed(client, said), sandbox));
    }
  }

  @Test
  void the_code_review_is_had_to_its_end() throws Exception {
    AnthropicClient client = api.client("review");
    try (Sandbox sandbox = Podflare.create()) {
      for (String name : List.of("prices.py", "test_prices.py")) {
        sandbox.upload("/root/repo/" + name, REPOSITORY.resolve(name));
      }
      assertHad(
          "review", have("Review the code in /root/repo.", client.messages()::create, sandbox));
    }
  }

  @Test
  void the_tool_loop_of_the_tutorial_runs() throws Exception {
    AnthropicClient client = api.client("tutorial");
    Tool tool =
        Tool.builder()
            .name("run_python")
            .description("Run Python in a persistent sandbox.")
            .inputSchema(
                Tool.InputSchema.builder()
                    .properties(
                        Tool.InputSchema.Properties.builder()
                            .putAdditionalProperty("code", JsonValue.from(Map.of("type", "string")))
                            .build())
                    .addRequired("code")
                    .build())
            .build();
    MessageCreateParams.Builder conversation = conversation("What is 6 times 7?").addTool(tool);
    List<Message> had = new ArrayList<>();
    try (Sandbox sandbox = Podflare.create()) {
      while (true) {
        Message message = client.messages().create(conversation.build());
        had.add(message);
        conversation.addMessage(message);
        if (!message.stopReason().equals(Optional.of(StopReason.TOOL_USE))) {
          break;
        }
        List<ContentBlockParam> results = new ArrayList<>();
        for (ContentBlock block : message.content()) {
          block.toolUse().ifPresent(call -> results.add(byHand(call, sandbox)));
        }
        conversation.addUserMessageOfContentBlockParams(results);
      }
    }
    assertHad("tutorial", had);
  }

  private static ContentBlockParam byHand(ToolUseBlock call, Sandbox sandbox) {
    Map<String, String> input = call._input().convert(new TypeReference<>() {});
    ExecResult ran = sandbox.run(input.get("code"));
    return ContentBlockParam.ofToolResult(
        ToolResultBlockParam.builder()
            .toolUseId(call.id())
            .content(ran.stdout() + ran.stderr())
            .isError(!ran.isOk())
            .build());
  }

  @Test
  void the_code_execution_loop_runs() throws Exception {
    AnthropicClient client = api.client("code_execution");
    MessageCreateParams.Builder conversation =
        conversation("Go.").addTool(CodeExecutionTool20250825.builder().build());
    List<Message> had = new ArrayList<>();
    try (Sandbox sandbox = Podflare.create()) {
      while (true) {
        Message message = client.messages().create(conversation.build());
        had.add(message);
        conversation.addMessage(message);
        List<ContentBlockParam> results = new ArrayList<>();
        for (ContentBlock block : message.content()) {
          if (block.isToolUse()) {
            results.add(
                ContentBlockParam.ofToolResult(
                    AnthropicTools.handleCodeExecutionToolUse(block, sandbox)));
          }
        }
        if (results.isEmpty()) {
          break;
        }
        conversation.addUserMessageOfContentBlockParams(results);
      }
    }
    assertHad("code_execution", had);
  }

  @Test
  void files_come_from_the_files_api_and_go_back_to_it() throws Exception {
    AnthropicClient client = api.client("files");
    MessageParam question =
        MessageParam.ofUserOfContentBlockParams(
            List.of(
                ContentBlockParam.ofText("Sum up."),
                ContentBlockParam.ofContainerUpload(
                    ContainerUploadBlockParam.builder().fileId("file_in1").build())));
    MessageCreateParams.Builder conversation =
        MessageCreateParams.builder().model(MODEL).maxTokens(1024).addMessage(question);
    try (Sandbox sandbox = Podflare.create()) {
      assertThat(AnthropicFiles.idsIn(question)).containsExactly("file_in1");
      assertThat(AnthropicFiles.put(client, sandbox, AnthropicFiles.idsIn(question)))
          .as("the name of a file must not lead out of the folder")
          .containsExactly("/root/prices.csv");
      List<Message> had = have(conversation, client.messages()::create, sandbox);
      List<String> ids = AnthropicFiles.take(client, sandbox, List.of("/root/sum.txt"));
      assertThat(ids).hasSize(1);
      try (HttpResponse content = client.beta().files().download(ids.get(0))) {
        assertThat(content.body().readAllBytes()).isEqualTo("6.0".getBytes(StandardCharsets.UTF_8));
      }
      assertThat(client.beta().files().retrieveMetadata(ids.get(0)).filename())
          .isEqualTo("sum.txt");
      assertHad("files", had);
    }
  }

  private static MessageCreateParams.Builder conversation(String begin) {
    return MessageCreateParams.builder().model(MODEL).maxTokens(1024).addUserMessage(begin);
  }

  private static List<Message> have(
      String begin, Function<MessageCreateParams, Message> say, Sandbox sandbox) {
    return have(conversation(begin).tools(AnthropicTools.TOOLS), say, sandbox);
  }

  /** The loop that docs/anthropic.md shows. */
  private static List<Message> have(
      MessageCreateParams.Builder conversation,
      Function<MessageCreateParams, Message> say,
      Sandbox sandbox) {
    List<Message> had = new ArrayList<>();
    while (had.size() < MOST_TURNS) {
      Message message = say.apply(conversation.build());
      had.add(message);
      conversation.addMessage(message);
      Optional<MessageParam> results = AnthropicTools.runTools(message, sandbox);
      if (results.isPresent()) {
        conversation.addMessage(results.get());
      } else if (!message.stopReason().equals(Optional.of(StopReason.PAUSE_TURN))) {
        return had;
      }
    }
    throw new AssertionError("the conversation does not end");
  }

  private static Message streamed(AnthropicClient client, MessageCreateParams said) {
    MessageAccumulator whole = MessageAccumulator.create();
    try (StreamResponse<RawMessageStreamEvent> events = client.messages().createStreaming(said)) {
      events.stream().forEach(whole::accumulate);
    }
    return whole.message();
  }

  /** Every turn was had, and the API refused none of the answers. */
  private static void assertHad(String name, List<Message> had) throws Exception {
    assertThat(api.failures(name)).isEqualTo("[]");
    assertThat(had).hasSize((int) FakeMessagesApi.turns(name));
  }
}
