package dev.podflare.anthropic;

import com.anthropic.core.JsonValue;
import com.anthropic.models.messages.Base64ImageSource;
import com.anthropic.models.messages.ContentBlock;
import com.anthropic.models.messages.ContentBlockParam;
import com.anthropic.models.messages.Message;
import com.anthropic.models.messages.MessageParam;
import com.anthropic.models.messages.StopReason;
import com.anthropic.models.messages.Tool;
import com.anthropic.models.messages.ToolBash20250124;
import com.anthropic.models.messages.ToolResultBlockParam;
import com.anthropic.models.messages.ToolTextEditor20250728;
import com.anthropic.models.messages.ToolUnion;
import com.anthropic.models.messages.ToolUseBlock;
import dev.podflare.sdk.Sandbox;
import dev.podflare.sdk.tools.Content;
import dev.podflare.sdk.tools.SandboxTools;
import dev.podflare.sdk.tools.ToolAnswer;
import dev.podflare.sdk.tools.ToolLimits;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Tools for the Messages API that run in a sandbox.
 *
 * {@snippet :
 * import com.anthropic.client.*;
 * import com.anthropic.client.okhttp.*;
 * import com.anthropic.models.messages.*;
 * import dev.podflare.anthropic.*;
 * import dev.podflare.sdk.*;
 *
 * AnthropicClient client = AnthropicOkHttpClient.fromEnv();
 * MessageCreateParams.Builder conversation =
 *     MessageCreateParams.builder()
 *         .model("…")
 *         .maxTokens(4096)
 *         .tools(AnthropicTools.TOOLS)
 *         .addUserMessage("What is the 1000th prime?");
 * try (Sandbox sandbox = Podflare.create()) {
 *   while (true) {
 *     Message message = client.messages().create(conversation.build());
 *     conversation.addMessage(message);
 *     var results = AnthropicTools.runTools(message, sandbox);
 *     if (results.isPresent()) {
 *       conversation.addMessage(results.get());
 *     } else if (!message.stopReason().filter(StopReason.PAUSE_TURN::equals).isPresent()) {
 *       break;
 *     }
 *   }
 * }
 * }
 *
 * <p>The API's own {@code code_execution_2025…} tools are <em>server tools</em>: a block of type
 * {@code server_tool_use} has been run by the provider when you see it, its result is in the same
 * message, and the API takes no answer to it. What reaches your machine is {@code tool_use}, and
 * only that is answered here.
 */
public final class AnthropicTools {
  /** {@code run_python}: Python in the process that stays alive. */
  public static final Tool RUN_PYTHON =
      tool(
          "run_python",
          "Runs Python in a sandbox of your own, in one process that stays alive: variables,"
              + " imports and open files are still there in the next call. What the code prints and"
              + " the value of its last expression come back, figures of matplotlib as pictures. A"
              + " line that begins with ! runs in bash. numpy, pandas, scipy, scikit-learn,"
              + " matplotlib, sympy, requests, openpyxl and pillow are installed; %pip brings more."
              + " Files live under /root; there is no"
              + " input().",
          "code",
          "Python source");

  /** {@code run_bash}: bash in a fresh process. */
  public static final Tool RUN_BASH =
      tool(
          "run_bash",
          "Runs a bash script in the sandbox, in a fresh process that starts in /root and sees the"
              + " same files as run_python. Answers what it prints and its exit code.",
          "command",
          "bash source");

  /** {@code bash_20250124}: bash whose directory, variables and functions stay. */
  public static final ToolBash20250124 BASH = ToolBash20250124.builder().build();

  /** {@code text_editor_20250728}: the sandbox's files. */
  public static final ToolTextEditor20250728 TEXT_EDITOR = ToolTextEditor20250728.builder().build();

  /** Those that complement each other best: Python with its state, a shell with its own, files. */
  public static final List<ToolUnion> TOOLS =
      List.of(
          ToolUnion.ofTool(RUN_PYTHON),
          ToolUnion.ofBash20250124(BASH),
          ToolUnion.ofTextEditor20250728(TEXT_EDITOR));

  private static final String CUT_OFF =
      "error: this call was not carried out: max_tokens ended your turn in the middle of it. Call"
          + " again with less, in several steps";

  private AnthropicTools() {}

  /** {@link #runTools(Message, Sandbox, TurnOptions)} with the {@link TurnOptions#usual}. */
  public static Optional<MessageParam> runTools(Message message, Sandbox sandbox) {
    return runTools(message, sandbox, TurnOptions.usual());
  }

  /**
   * Does what an assistant's turn asks for, and answers the user's turn with all its results.
   *
   * <p>Each {@code tool_use} block of the message has its {@code tool_result} in the answer, in the
   * same order. The names are those of {@link SandboxTools#answer}, and those of your own tools.
   * What goes wrong, in the code or with the sandbox, is a result with {@code is_error} true that
   * says what happened, why, and what to try; it is never thrown. All other blocks are left alone.
   *
   * @param message what {@code messages().create} answered, or what a stream of it was gathered to
   * @param sandbox the same one through a conversation, and variables and files stay
   * @return the next message to append, or empty if the turn asks for nothing: it has ended, or has
   *     to be continued as it is ({@code pause_turn})
   */
  public static Optional<MessageParam> runTools(
      Message message, Sandbox sandbox, TurnOptions options) {
    SandboxTools tools = new SandboxTools(sandbox, options.limits());
    boolean endedEarly = message.stopReason().filter(StopReason.MAX_TOKENS::equals).isPresent();
    List<ContentBlock> blocks = message.content();
    List<ContentBlockParam> results = new ArrayList<>();
    for (int i = 0; i < blocks.size(); i++) {
      if (!blocks.get(i).isToolUse()) {
        continue;
      }
      ToolUseBlock call = blocks.get(i).asToolUse();
      boolean isCutOff = endedEarly && i == blocks.size() - 1;
      ToolAnswer answer = isCutOff ? ToolAnswer.failed(CUT_OFF) : answer(call, tools, options);
      results.add(ContentBlockParam.ofToolResult(result(call, answer)));
    }
    return results.isEmpty()
        ? Optional.empty()
        : Optional.of(MessageParam.ofUserOfContentBlockParams(results));
  }

  /**
   * Does what one {@code tool_use} block asks for, and answers the matching {@code tool_result} in
   * exactly the form of the hosted service's helper.
   *
   * <p>The tools, by the block's name and input: {@code code_execution} {@code {code}}, {@code
   * bash_code_execution} {@code {command}}, and {@code text_editor_code_execution} {@code {command:
   * view | create | str_replace | insert, path, …}}. What goes wrong with them is a result with
   * {@code is_error} true, so that the model can react; it is never thrown. Code is stopped after
   * five minutes.
   */
  public static ToolResultBlockParam handleCodeExecutionToolUse(
      ToolUseBlock block, Sandbox sandbox) {
    return handleCodeExecutionToolUse(block, sandbox, ToolLimits.usual().timeout());
  }

  /**
   * The same with another limit of time.
   *
   * @param timeout how long the call may take; null for no limit
   */
  public static ToolResultBlockParam handleCodeExecutionToolUse(
      ToolUseBlock block, Sandbox sandbox, @Nullable Duration timeout) {
    SandboxTools tools = new SandboxTools(sandbox, ToolLimits.usual().withTimeout(timeout));
    return result(block, tools.answerCodeExecution(block.name(), Plain.fields(block._input())));
  }

  /**
   * The same for a block of a message.
   *
   * @throws IllegalArgumentException it is no {@code tool_use}, so the API would refuse an answer
   *     to it
   */
  public static ToolResultBlockParam handleCodeExecutionToolUse(
      ContentBlock block, Sandbox sandbox) {
    if (!block.isToolUse()) {
      String why =
          block.isServerToolUse()
              ? "the provider has run it already and its result is in the same message"
              : "it is no tool call";
      throw new IllegalArgumentException(
          "a block of type '" + type(block) + "' can't be answered: " + why);
    }
    return handleCodeExecutionToolUse(block.asToolUse(), sandbox);
  }

  private static ToolAnswer answer(ToolUseBlock call, SandboxTools tools, TurnOptions options) {
    String name = call.name();
    OwnTool own = options.ownTools().get(name);
    if (own != null) {
      return answer(own, Plain.fields(call._input())).within(options.limits());
    }
    if (!SandboxTools.knows(name) && !options.ownTools().isEmpty()) {
      List<String> known = new ArrayList<>(SandboxTools.names());
      known.addAll(options.ownTools().keySet());
      return ToolAnswer.failed(
          "error: unknown tool '" + name + "'. The tools here are " + String.join(", ", known));
    }
    return tools.answer(name, Plain.fields(call._input()));
  }

  private static ToolAnswer answer(OwnTool tool, Map<String, @Nullable Object> input) {
    try {
      return tool.answer(input);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      return failed(interrupted);
    } catch (Exception failure) { // Somebody else's code: whatever it is, the model is to hear it.
      return failed(failure);
    }
  }

  private static ToolAnswer failed(Exception failure) {
    String said = failure.getMessage() == null ? "" : ": " + failure.getMessage();
    return ToolAnswer.failed("error: " + failure.getClass().getSimpleName() + said);
  }

  private static ToolResultBlockParam result(ToolUseBlock call, ToolAnswer answer) {
    List<ToolResultBlockParam.Content.Block> blocks = new ArrayList<>();
    for (Content part : answer.content()) {
      if (part instanceof Content.Text text) {
        blocks.add(ToolResultBlockParam.Content.Block.ofText(text.text()));
      } else if (part instanceof Content.Image image) {
        blocks.add(
            ToolResultBlockParam.Content.Block.ofImage(
                Base64ImageSource.builder()
                    .mediaType(Base64ImageSource.MediaType.of(image.mediaType()))
                    .data(image.base64())
                    .build()));
      }
    }
    return ToolResultBlockParam.builder()
        .toolUseId(call.id())
        .contentOfBlocks(blocks)
        .isError(answer.isError())
        .build();
  }

  private static String type(ContentBlock block) {
    return String.valueOf(Plain.fields(JsonValue.from(block)).get("type"));
  }

  private static Tool tool(String name, String description, String field, String meaning) {
    return Tool.builder()
        .name(name)
        .description(description)
        .inputSchema(
            Tool.InputSchema.builder()
                .properties(
                    Tool.InputSchema.Properties.builder()
                        .putAdditionalProperty(
                            field, JsonValue.from(Map.of("type", "string", "description", meaning)))
                        .build())
                .addRequired(field)
                .build())
        .build();
  }
}
