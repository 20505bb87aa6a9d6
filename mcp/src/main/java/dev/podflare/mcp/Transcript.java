package dev.podflare.mcp;

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

  /** What the server calls the error of code whose time limit passed while it waited. */
  private static final String QUEUED_TOO_LONG = "QueuedTooLong";

  /** In this order, the first that there is, is what the model reads. */
  private static final List<String> TEXTS =
      List.of("text/plain", "text/markdown", "text/latex", "application/json", "text/html");

  private static final List<String> PICTURES =
      List.of("image/png", "image/jpeg", "image/gif", "image/webp");

  private final TerminalText stdout = new TerminalText(MOST_STDOUT);
  private final TerminalText stderr = new TerminalText(MOST_STDERR);
  private final TerminalText shown = new TerminalText(MOST_RESULT);
  private final List<ToolAnswer.Picture> images = new ArrayList<>();
  private int imageBytes;
  private Optional<String> exec = Optional.empty();
  private boolean waits;
  private boolean neverRan;

  @Override
  public synchronized void begun(String exec) {
    this.exec = Optional.of(exec);
  }

  @Override
  public synchronized void waiting() {
    waits = true;
  }

  @Override
  public synchronized void error(String name) {
    neverRan |= name.equals(QUEUED_TOO_LONG);
  }

  @Override
  public synchronized void stdout(String text) {
    waits = false;
    stdout.append(text);
  }

  @Override
  public synchronized void stderr(String text) {
    waits = false;
    stderr.append(text);
  }

  @Override
  public synchronized void result(Map<String, String> value) {
    String text = TEXTS.stream().filter(value::containsKey).findFirst().map(value::get).orElse("");
    if (!shown.isEmpty()) {
      shown.append("\n");
    }
    boolean isPicture = PICTURES.stream().anyMatch(value::containsKey);
    shown.append(isPicture ? picture(value, text) : text);
  }

  /** The first form of it that is small enough. */
  private String picture(Map<String, String> value, String text) {
    for (String type : PICTURES) {
      String base64 = value.getOrDefault(type, "").strip();
      if (!base64.isEmpty() && fits(base64.length())) {
        imageBytes += base64.length();
        images.add(new ToolAnswer.Picture(type, base64));
        return (text.isEmpty() ? type : text) + " [image " + images.size() + " below]";
      }
    }
    String why =
        images.size() == MOST_IMAGES
            ? "left out, because an answer holds " + MOST_IMAGES + " images at most"
            : "too large to show here: save it to a file at a lower resolution, and download that";
    return (text.isEmpty() ? "A picture" : text) + " [" + why + "]";
  }

  private boolean fits(int length) {
    return images.size() < MOST_IMAGES
        && length <= MOST_OF_ONE_IMAGE
        && imageBytes + length <= MOST_OF_ALL_IMAGES;
  }

  /** The id of the exec, once it is known. */
  synchronized Optional<String> exec() {
    return exec;
  }

  /** The last thing that was said. */
  synchronized String lastLine() {
    if (waits) {
      return "it waits for other code of this sandbox to end";
    }
    String line = stdout.isEmpty() ? stderr.lastLine() : stdout.lastLine();
    return line.length() > 200 ? line.substring(0, 200) + "…" : line;
  }

  /**
   * As the answer to a tool call.
   *
   * @param news what the model is told of its sandbox beside that
   */
  synchronized ToolAnswer answer(String sandbox, SandboxCalls.Exit exit, Optional<String> news) {
    List<String> notes = new ArrayList<>();
    (neverRan ? Optional.of(Ending.NOT_RUN) : Ending.of(exit.reason()))
        .map(Ending::forModel)
        .ifPresent(notes::add);
    if (!exit.stateKept()) {
      notes.add(Ending.STATE_LOST);
    }
    news.ifPresent(notes::add);
    StringBuilder text = new StringBuilder();
    section(text, "stdout", stdout);
    section(text, "stderr", stderr);
    section(text, "result", shown);
    text.append("exit_code: ").append(exit.code());
    notes.forEach(note -> text.append("\n\n").append(note));
    List<ToolAnswer.Part> parts = new ArrayList<>();
    parts.add(new ToolAnswer.Text(text.toString()));
    parts.addAll(images);
    Map<String, Object> facts = facts(sandbox, exit);
    return new ToolAnswer(
        parts,
        exit.code() != 0,
        facts,
        images.isEmpty() ? Optional.of(whole(facts, notes)) : Optional.empty());
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

  private Map<String, Object> whole(Map<String, Object> facts, List<String> notes) {
    Map<String, Object> whole = new LinkedHashMap<>(facts);
    Map<String, TerminalText> sections = new LinkedHashMap<>();
    sections.put("stdout", stdout);
    sections.put("stderr", stderr);
    sections.put("result", shown);
    sections.forEach((name, content) -> {
      if (!content.isEmpty()) {
        whole.put(name, content.toString());
      }
    });
    if (!notes.isEmpty()) {
      whole.put("note", String.join("\n\n", notes));
    }
    return whole;
  }

  private static void section(StringBuilder text, String title, TerminalText content) {
    if (!content.isEmpty()) {
      String whole = content.toString();
      text.append(title).append(":\n").append(whole).append(whole.endsWith("\n") ? "" : "\n");
    }
  }
}
