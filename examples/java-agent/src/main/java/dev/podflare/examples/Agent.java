package dev.podflare.examples;

import com.anthropic.client.AnthropicClient;
import com.anthropic.client.okhttp.AnthropicOkHttpClient;
import com.anthropic.core.http.StreamResponse;
import com.anthropic.errors.AnthropicException;
import com.anthropic.helpers.MessageAccumulator;
import com.anthropic.models.messages.ContentBlockParam;
import com.anthropic.models.messages.Message;
import com.anthropic.models.messages.MessageCreateParams;
import com.anthropic.models.messages.MessageParam;
import com.anthropic.models.messages.RawMessageStreamEvent;
import com.anthropic.models.messages.StopReason;
import com.anthropic.models.messages.ToolResultBlockParam;
import dev.podflare.anthropic.AnthropicTools;
import dev.podflare.sdk.Podflare;
import dev.podflare.sdk.PodflareException;
import dev.podflare.sdk.Sandbox;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Optional;

/**
 * An agent that analyses files: it is given a question and local files, writes and runs code in a
 * sandbox until it knows the answer, and leaves the figures that it drew in this folder.
 *
 * <pre>
 * ./podflare up --detach
 * mvn -q -pl examples/java-agent -am package -DskipTests
 * ANTHROPIC_API_KEY=… java -jar examples/java-agent/target/java-agent.jar \
 *     "In which month is CO2 highest?" examples/data/co2.csv
 * </pre>
 *
 * <p>Without a key: {@code examples/recorded picture java -jar
 * examples/java-agent/target/java-agent.jar "Draw a line."}
 *
 * <p>The sandbox has no internet, and ends with the program.
 */
public final class Agent {
  private static final int MOST_TURNS = 30;

  private final AnthropicClient client = AnthropicOkHttpClient.fromEnv();
  private final String model;
  private final Sandbox sandbox;
  private int figures;

  private Agent(String model, Sandbox sandbox) {
    this.model = model;
    this.sandbox = sandbox;
  }

  /** The arguments: a question, and the files that it is about. */
  public static void main(String[] arguments) throws IOException {
    if (arguments.length == 0) {
      System.err.println("usage: java -jar java-agent.jar QUESTION [FILE]…");
      System.exit(2);
    }
    if (System.getenv("ANTHROPIC_API_KEY") == null) {
      System.err.println(
          "agent: set ANTHROPIC_API_KEY to a key of Anthropic's API, or see it with a recorded"
              + " model: examples/recorded picture java -jar java-agent.jar \"Draw a line.\"");
      System.exit(2);
    }
    try {
      answer(arguments);
    } catch (PodflareException | AnthropicException e) {
      System.err.println("agent: " + e.getMessage());
      System.exit(1);
    }
  }

  private static void answer(String[] arguments) throws IOException {
    String model = Optional.ofNullable(System.getenv("ANTHROPIC_MODEL")).orElse("claude-opus-4-7");
    try (Sandbox sandbox = Podflare.create(options -> options.egress(false))) {
      List<String> uploaded = new ArrayList<>();
      for (String each : List.of(arguments).subList(1, arguments.length)) {
        Path file = Path.of(each);
        sandbox.upload("/root/" + file.getFileName(), file);
        uploaded.add("/root/" + file.getFileName());
      }
      String about =
          uploaded.isEmpty() ? "" : "\n\nFiles in the sandbox: " + String.join(", ", uploaded);
      new Agent(model, sandbox).answer(arguments[0] + about);
    }
  }

  private void answer(String question) throws IOException {
    MessageCreateParams.Builder conversation =
        MessageCreateParams.builder()
            .model(model)
            .maxTokens(4096)
            .addTool(AnthropicTools.RUN_PYTHON)
            .addTool(AnthropicTools.TEXT_EDITOR)
            .addUserMessage(question);
    for (int turn = 0; turn < MOST_TURNS; turn++) {
      Message message = say(conversation.build());
      conversation.addMessage(message);
      Optional<MessageParam> results = AnthropicTools.runTools(message, sandbox);
      if (results.isPresent()) {
        show(results.get());
        conversation.addMessage(results.get());
      } else if (message.stopReason().filter(StopReason.PAUSE_TURN::equals).isEmpty()) {
        System.out.println();
        return;
      }
    }
    throw new IllegalStateException("no answer after " + MOST_TURNS + " turns");
  }

  /** One turn of the model, whose text is printed as it comes. */
  private Message say(MessageCreateParams conversation) {
    MessageAccumulator whole = MessageAccumulator.create();
    try (StreamResponse<RawMessageStreamEvent> events =
        client.messages().createStreaming(conversation)) {
      events.stream()
          .peek(whole::accumulate)
          .flatMap(event -> event.contentBlockDelta().stream())
          .flatMap(delta -> delta.delta().text().stream())
          .forEach(text -> System.out.print(text.text()));
    }
    return whole.message();
  }

  /** Figures become files, and failures are told, in a line. */
  private void show(MessageParam results) throws IOException {
    for (ContentBlockParam each : results.content().asContentBlockParams()) {
      ToolResultBlockParam result = each.asToolResult();
      boolean failed = result.isError().orElse(false);
      for (ToolResultBlockParam.Content.Block part : result.content().orElseThrow().asBlocks()) {
        if (part.isImage()) {
          Path file = Path.of("figure-" + ++figures + ".png");
          String base64 = part.asImage().source().asBase64().data();
          Files.write(file, Base64.getDecoder().decode(base64));
          System.err.println("\n[figure → " + file + "]");
        } else if (failed) {
          String told = part.asText().text().strip();
          System.err.println("\n[" + told.substring(told.lastIndexOf('\n') + 1) + "]");
        }
      }
    }
  }
}
