package dev.podflare.worker;

import dev.podflare.sdk.ExecOptions;
import dev.podflare.sdk.ExecResult;
import dev.podflare.sdk.Language;
import dev.podflare.sdk.PodflareException;
import dev.podflare.sdk.Sandbox;
import dev.podflare.worker.SessionEvent.ToolCall;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The tools of the agent toolset that the provider leaves to a worker, in a session's sandbox. What
 * goes wrong in a call is its answer, in words for the model.
 */
final class AgentTools {
  /** The names of the toolset's tools. Searching the web is the provider's own work. */
  static final Set<String> NAMES = Set.of("bash", "read", "write", "edit", "glob", "grep");

  /** Tools of this product that an agent may have as custom ones. */
  static final Set<String> CUSTOM_NAMES = Set.of("run_python", "run_bash");

  private static final Duration USUAL_LIMIT = Duration.ofMinutes(2);
  private static final Duration LONGEST_LIMIT = Duration.ofMinutes(30);

  /** The largest file that is read, and the most of it that is told. */
  private static final int LARGEST_FILE = 4 << 20;

  private static final int MOST_READ = 256 << 10;

  private static final String GLOB = "python3 -I -c \"$PF_SCRIPT\"";

  private final SessionSandbox sandbox;
  private final Set<String> custom;
  private final Predicate<String> isReadOnly;

  /**
   * Tools in a sandbox.
   *
   * @param isReadOnly which absolute paths must not be written to
   */
  AgentTools(SessionSandbox sandbox, Set<String> custom, Predicate<String> isReadOnly) {
    this.sandbox = sandbox;
    this.custom = custom;
    this.isReadOnly = isReadOnly;
  }

  /** Whether this worker answers it. What it does not know, another program answers. */
  boolean isOurs(ToolCall call) {
    return (call.isCustom() ? custom : NAMES).contains(call.name());
  }

  /** Carries a call out. */
  ToolResult answer(ToolCall call) {
    ToolResult result;
    try {
      result = answer(call.name(), new Input(call.input()));
    } catch (Misuse wrong) {
      return ToolResult.error("error: " + wrong.getMessage());
    } catch (PodflareException failed) {
      result = SandboxAnswers.of(failed);
    }
    if (result.isError() && sandbox.isForgotten()) {
      return result.and(
          "[the session's sandbox is gone, with its files and variables; the next call begins in a"
              + " new one. Set up again what you need]");
    }
    return result;
  }

  private ToolResult answer(String name, Input input) {
    Sandbox here = sandbox.get();
    if (sandbox.isInterrupted()) {
      throw new Misuse(
          "interrupted from outside before it ran. Go on only if the task still asks for it");
    }
    return switch (name) {
      case "bash", "run_python", "run_bash" ->
          SandboxAnswers.of(here, name, input.fields(), limit(input));
      case "read" -> read(here, input);
      case "write" -> write(here, input);
      case "edit" -> edit(here, input);
      case "glob" -> glob(here, input);
      case "grep" -> grep(here, input);
      default -> throw new IllegalArgumentException(name + " is not ours");
    };
  }

  private static ToolResult read(Sandbox here, Input input) {
    String path = input.path("file_path");
    String text = text(here, path);
    List<?> range = input.fields().get("view_range") instanceof List<?> list ? list : List.of();
    if (!range.isEmpty()) {
      text = lines(text, path, range);
    }
    if (text.length() > MOST_READ) {
      throw new Misuse(
          path
              + " has "
              + text.length()
              + " characters, more than are told at once ("
              + MOST_READ
              + "). Ask for a part of it by view_range, [first line, last line]");
    }
    return ToolResult.ok(text);
  }

  private static String lines(String text, String path, List<?> range) {
    if (range.size() != 2
        || !(range.get(0) instanceof Integer first)
        || !(range.get(1) instanceof Integer last)
        || first < 1
        || (last != -1 && last < first)) {
      throw new Misuse(
          "view_range must be two line numbers, [first, last], counted from 1, last -1 for the"
              + " end. Call again with such a range, or without one");
    }
    List<String> lines = text.lines().toList();
    if (first > Math.max(lines.size(), 1)) {
      throw new Misuse(
          path
              + " has "
              + lines.size()
              + " lines, none at "
              + first
              + ". Ask for lines that it has");
    }
    int end = last == -1 ? lines.size() : Math.min(last, lines.size());
    return String.join("\n", lines.subList(first - 1, end));
  }

  private ToolResult write(Sandbox here, Input input) {
    String path = writable(input.path("file_path"));
    long bytes = here.files().write(path, input.text("content"));
    return ToolResult.ok(path + " has been written (" + bytes + " bytes)");
  }

  private String writable(String path) {
    // The sandbox reads a ~ at the beginning as a home directory.
    String fromHome = path.replaceFirst("^~[^/]*/?", "/root/");
    if (isReadOnly.test(Path.of("/root").resolve(fromHome).normalize().toString())) {
      throw new Misuse(
          path + " is in a memory store that is mounted read-only. Write to another path");
    }
    return path;
  }

  private ToolResult edit(Sandbox here, Input input) {
    String path = writable(input.path("file_path"));
    String old = input.text("old_string");
    String replacement = input.text("new_string");
    if (old.isEmpty()) {
      throw new Misuse("old_string is empty. Give the text that shall be replaced");
    }
    String text = text(here, path);
    int count = (text.length() - text.replace(old, "").length()) / old.length();
    if (count == 0) {
      throw new Misuse(
          "old_string is not in " + path + ". Read the file, and copy the text exactly");
    }
    if (count > 1 && !Boolean.TRUE.equals(input.fields().get("replace_all"))) {
      throw new Misuse(
          "old_string is "
              + count
              + " times in "
              + path
              + ". Give more of the text around it, or set replace_all");
    }
    here.files().write(path, text.replace(old, replacement));
    return ToolResult.ok(
        path + " has been changed in " + count + (count == 1 ? " place" : " places"));
  }

  private static ToolResult glob(Sandbox here, Input input) {
    String pattern = input.path("pattern");
    if (pattern.startsWith("/") || List.of(pattern.split("[/{},]")).contains("..")) {
      throw new Misuse("the pattern must be relative, without \"..\". Name the directory by path");
    }
    return search(here, GLOB, pattern, input);
  }

  private static ToolResult grep(Sandbox here, Input input) {
    return search(here, Resources.text("grep.sh"), input.path("pattern"), input);
  }

  private static ToolResult search(Sandbox here, String command, String pattern, Input input) {
    ExecOptions options =
        ExecOptions.builder()
            .language(Language.BASH)
            .timeout(USUAL_LIMIT)
            .env("PF_SCRIPT", Resources.text("glob.py"))
            .env("PF_PATTERN", pattern)
            .env("PF_PATH", input.optionalPath("path", "/root"))
            .build();
    ExecResult ran = here.run(command, options);
    if (!ran.isOk()) {
      String why = ran.stderr().isBlank() ? "it ended by " + ran.reason() : ran.stderr().strip();
      throw new Misuse(why + (ran.stderr().isBlank() ? ". Search a smaller part" : ""));
    }
    return ToolResult.ok(ran.stdout().stripTrailing());
  }

  private static Duration limit(Input input) {
    if (input.fields().get("timeout_ms") instanceof Number millis && millis.longValue() > 0) {
      Duration asked = Duration.ofMillis(millis.longValue());
      return asked.compareTo(LONGEST_LIMIT) > 0 ? LONGEST_LIMIT : asked;
    }
    return USUAL_LIMIT;
  }

  private static String text(Sandbox here, String path) {
    byte[] bytes = here.files().read(path, LARGEST_FILE + 1);
    if (bytes.length > LARGEST_FILE) {
      throw new Misuse(
          path
              + " has more than "
              + LARGEST_FILE
              + " bytes, too many to read or edit as text. Use bash to look at parts of it");
    }
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException binary) {
      throw new Misuse(path + " is not UTF-8 text. Use bash to work with its bytes");
    }
  }

  /** The model's input is not what the tool takes; the text tells it what is. */
  static final class Misuse extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Misuse(String message) {
      super(message);
    }
  }

  /** What a model gave to a tool. */
  record Input(Map<String, @Nullable Object> fields) {
    String text(String name) {
      if (fields.get(name) instanceof String text) {
        return text;
      }
      throw new Misuse("the input needs '" + name + "', a string. Call again with it");
    }

    String optionalPath(String name, String otherwise) {
      return fields.get(name) == null || "".equals(fields.get(name)) ? otherwise : path(name);
    }

    /** A text that is not empty, and can be a path or an environment variable. */
    String path(String name) {
      String text = text(name);
      if (text.isEmpty() || text.indexOf('\0') >= 0) {
        throw new Misuse("the input needs '" + name + "', not empty. Call again with it");
      }
      return text;
    }
  }
}
