package dev.podflare.mcp;

import io.modelcontextprotocol.spec.McpSchema;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What one exec said, in the size that a model can read: the middle of long output is left out, and
 * pictures that no client takes are only named. Written by one thread, watched by another.
 */
final class Transcript implements SandboxCalls.Output {

  private static final int MOST_STDOUT = 20_000;
  private static final int MOST_STDERR = 10_000;
  private static final int MOST_RESULT = 10_000;

  /** Characters of base64: clients and models take pictures of some 5 MB. */
  private static final int MOST_OF_ONE_IMAGE = 5 << 20;

  private static final int MOST_OF_ALL_IMAGES = 12 << 20;
  private static final int MOST_IMAGES = 10;

  /** In this order, the first that there is, is what the model reads. */
  private static final List<String> TEXTS =
      List.of("text/plain", "text/markdown", "text/latex", "application/json", "text/html");

  private static final List<String> PICTURES =
      List.of("image/png", "image/jpeg", "image/gif", "image/webp");

  private final ClippedText stdout = new ClippedText(MOST_STDOUT);
  private final ClippedText stderr = new ClippedText(MOST_STDERR);
  private final ClippedText shown = new ClippedText(MOST_RESULT);
  private final List<McpSchema.Content> images = new ArrayList<>();
  private int imageBytes;
  private Optional<String> exec = Optional.empty();

  @Override
  public synchronized void begun(String exec) {
    this.exec = Optional.of(exec);
  }

  @Override
  public synchronized void stdout(String text) {
    stdout.append(text);
  }

  @Override
  public synchronized void stderr(String text) {
    stderr.append(text);
  }

  @Override
  public synchronized void result(Map<String, String> value) {
    String text = TEXTS.stream().filter(value::containsKey).findFirst().map(value::get).orElse("");
    Optional<String> picture = PICTURES.stream().filter(value::containsKey).findFirst();
    if (!shown.isEmpty()) {
      shown.append("\n");
    }
    shown.append(
        picture.map(type -> picture(type, value.getOrDefault(type, ""), text)).orElse(text));
  }

  private String picture(String type, String base64, String text) {
    boolean fits =
        images.size() < MOST_IMAGES
            && base64.length() <= MOST_OF_ONE_IMAGE
            && imageBytes + base64.length() <= MOST_OF_ALL_IMAGES;
    String name = text.isEmpty() ? type : text;
    if (!fits) {
      return name
          + " [too large to show here: save it to a file at a lower resolution, and download that]";
    }
    imageBytes += base64.length();
    images.add(McpSchema.ImageContent.builder(base64.strip(), type).build());
    return name + " [image " + images.size() + " below]";
  }

  /** The id of the exec, once it is known. */
  synchronized Optional<String> exec() {
    return exec;
  }

  /** The last thing that was said. */
  synchronized String lastLine() {
    String line = stdout.isEmpty() ? stderr.lastLine() : stdout.lastLine();
    return line.length() > 200 ? line.substring(0, 200) + "…" : line;
  }

  /** As the answer to a tool call. */
  synchronized McpSchema.CallToolResult answer(String sandbox, SandboxCalls.Exit exit) {
    StringBuilder text = new StringBuilder();
    section(text, "stdout", stdout);
    section(text, "stderr", stderr);
    section(text, "result", shown);
    text.append("exit_code: ").append(exit.code());
    Ending.of(exit.reason()).ifPresent(ending -> text.append("\n\n").append(ending.forModel()));
    if (!exit.stateKept()) {
      text.append("\n\n").append(Ending.STATE_LOST);
    }
    List<McpSchema.Content> content = new ArrayList<>();
    content.add(McpSchema.TextContent.builder(text.toString()).build());
    content.addAll(images);
    return McpSchema.CallToolResult.builder(content)
        .isError(exit.code() != 0)
        .meta(Answers.meta(facts(sandbox, exit)))
        .build();
  }

  private static Map<String, Object> facts(String sandbox, SandboxCalls.Exit exit) {
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("sandbox_id", sandbox);
    facts.put("exit_code", exit.code());
    facts.put("reason", exit.reason());
    facts.put("state_kept", exit.stateKept());
    facts.put("duration_ms", exit.durationMs());
    return facts;
  }

  private static void section(StringBuilder text, String title, ClippedText content) {
    if (!content.isEmpty()) {
      String whole = content.toString();
      text.append(title).append(":\n").append(whole).append(whole.endsWith("\n") ? "" : "\n");
    }
  }
}
