package dev.podflare.sdk.tools;

import dev.podflare.sdk.ExecOptions;
import dev.podflare.sdk.ExecResult;
import dev.podflare.sdk.InvalidRequestException;
import dev.podflare.sdk.Language;
import dev.podflare.sdk.PodflareException;
import dev.podflare.sdk.Sandbox;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * The text editor of a model: view, create, str_replace and insert, on the files of a sandbox.
 *
 * @param isNumbered whether a view has line numbers, as the client tool's does; the provider's own
 *     tool shows a file as it is
 */
record Editor(Sandbox sandbox, ToolLimits limits, boolean isNumbered) {
  private static final int LARGEST_FILE = 1024 * 1024;
  private static final int MOST_LISTED = 1000;

  /** Lines that are shown around a change. */
  private static final int AROUND = 4;

  private static final int LONGEST_SNIPPET = ToolLimits.CHARACTERS / 4;

  /** Whose sentences do not name the path everywhere. */
  private static final Set<String> ABOUT_THE_PATH =
      Set.of("file_not_found", "is_a_directory", "not_a_file", "not_a_directory");

  private static final String LIST =
      "find . -mindepth 1 -maxdepth 2 -not -path \"*/.*\" \\( -type d"
          + " -printf '%P/\\n' -o -printf '%P\\n' \\) | LC_ALL=C sort | head -n "
          + MOST_LISTED;

  ToolAnswer answer(Input input) throws Misuse {
    String command = input.text("command");
    Edit edit =
        switch (command) {
          case "view" -> this::view;
          case "create" -> this::create;
          case "str_replace" -> this::replace;
          case "insert" -> this::insert;
          default ->
              throw new Misuse(
                  "unknown command '"
                      + command
                      + "'. Use one of view, create, str_replace, insert");
        };
    String path = input.text("path");
    if (path.isEmpty()) {
      throw new Misuse("the input needs 'path', a path that is not empty. Call again with it");
    }
    try {
      return edit.on(path, input);
    } catch (PodflareException failed) {
      if (failed.code().filter(ABOUT_THE_PATH::contains).isPresent()) {
        return Advice.about(failed, path + ": " + failed.sentence());
      }
      throw failed;
    }
  }

  private interface Edit {
    ToolAnswer on(String path, Input input) throws Misuse;
  }

  private ToolAnswer view(String path, Input input) throws Misuse {
    Input.LineRange range = input.range("view_range");
    String text;
    try {
      text = read(path);
    } catch (InvalidRequestException refused) {
      if (refused.code().filter("is_a_directory"::equals).isEmpty()) {
        throw refused;
      }
      return list(path);
    }
    List<String> lines = lines(text);
    if (range.first() > Math.max(lines.size(), 1)) {
      throw new Misuse(
          path
              + " has "
              + lines.size()
              + " lines, none at "
              + range.first()
              + ". Ask for lines that it has");
    }
    int begin = (int) Math.min(range.first() - 1, lines.size());
    int end =
        range.last() == Input.LineRange.TO_THE_END
            ? lines.size()
            : (int) Math.min(range.last(), lines.size());
    List<String> chosen = lines.subList(begin, end);
    String shown = isNumbered ? numbered(chosen, begin + 1) : String.join("\n", chosen);
    boolean endsWithLine = end < lines.size() || text.endsWith("\n");
    if (!isNumbered && !chosen.isEmpty() && endsWithLine) {
      shown += "\n";
    }
    String told = Texts.cut(shown, limits.characters());
    return ToolAnswer.told(told.isEmpty() ? "(" + path + " is empty)" : told, false);
  }

  private ToolAnswer list(String path) {
    ExecResult result =
        sandbox.run(LIST, ExecOptions.builder().language(Language.BASH).cwd(path).build());
    if (!result.isOk()) {
      return Outcome.plain(result, limits.characters());
    }
    String told = path + ", two levels deep, without hidden files:\n" + result.stdout();
    return ToolAnswer.told(Texts.cut(Texts.clean(told), limits.characters()), false);
  }

  private ToolAnswer create(String path, Input input) throws Misuse {
    String text = input.text("file_text");
    sandbox.files().write(path, text);
    return ToolAnswer.told(path + " has been written (" + text.lines().count() + " lines)", false);
  }

  private ToolAnswer replace(String path, Input input) throws Misuse {
    String old = input.text("old_str");
    String fresh = input.has("new_str") ? input.text("new_str") : "";
    String text = read(path);
    int count = count(text, old);
    if (count == 0) {
      throw new Misuse("old_str is not in " + path + ". View the file, and copy the text exactly");
    }
    if (count > 1) {
      throw new Misuse(
          "old_str is " + count + " times in " + path + ". Give more of the text around it");
    }
    int at = text.indexOf(old);
    String changed = text.substring(0, at) + fresh + text.substring(at + old.length());
    sandbox.files().write(path, changed);
    return changed(path, changed, count(text.substring(0, at), "\n"), count(fresh, "\n") + 1);
  }

  private ToolAnswer insert(String path, Input input) throws Misuse {
    // Earlier versions of the tool call the text new_str.
    boolean isEarlier = !input.has("insert_text") && input.has("new_str");
    String added = input.text(isEarlier ? "new_str" : "insert_text");
    long after = input.number("insert_line");
    String text = read(path);
    List<String> lines = new ArrayList<>(List.of(text.split("\n", -1)));
    int count = lines(text).size();
    if (after < 0 || after > count) {
      throw new Misuse(
          path
              + " has "
              + count
              + " lines, so insert_line must be from 0 to "
              + count
              + ", not "
              + after
              + ". View the file, and count again");
    }
    List<String> fresh = lines(added);
    lines.addAll((int) after, fresh);
    String changed = String.join("\n", lines);
    sandbox.files().write(path, changed);
    return changed(path, changed, (int) after, fresh.size());
  }

  /** A file of text. One that is too large is counted, not kept. */
  private String read(String path) throws Misuse {
    ByteBuffer kept = ByteBuffer.allocate(LARGEST_FILE);
    long size = sandbox.files().read(path, new Beginning(kept));
    if (size > LARGEST_FILE) {
      throw new Misuse(
          String.format(
              Locale.ROOT,
              "%s has %,d bytes, too many to show or edit as text. Use code to look at parts of it",
              path,
              size));
    }
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(kept.flip()).toString();
    } catch (CharacterCodingException binary) {
      throw new Misuse(path + " is not UTF-8 text. Use code to work with its bytes");
    }
  }

  /** Keeps the beginning of what is written to it, as much as the buffer holds. */
  private static final class Beginning extends OutputStream {
    private final ByteBuffer kept;

    Beginning(ByteBuffer kept) {
      this.kept = kept;
    }

    @Override
    public void write(int octet) {
      if (kept.hasRemaining()) {
        kept.put((byte) octet);
      }
    }

    @Override
    public void write(byte[] bytes, int offset, int length) {
      kept.put(bytes, offset, Math.min(length, kept.remaining()));
    }
  }

  /** Its lines, where a newline ends one and begins none. */
  private static List<String> lines(String text) {
    List<String> lines = List.of(text.split("\n", -1));
    return lines.get(lines.size() - 1).isEmpty() ? lines.subList(0, lines.size() - 1) : lines;
  }

  /** How often a part is in a text, side by side; an empty part is not. */
  private static int count(String text, String part) {
    int count = 0;
    if (!part.isEmpty()) {
      int at = text.indexOf(part);
      while (at >= 0) {
        count++;
        at = text.indexOf(part, at + part.length());
      }
    }
    return count;
  }

  /** Shows what was changed, with the lines around it. */
  private static ToolAnswer changed(String path, String text, int line, int count) {
    List<String> lines = List.of(text.split("\n", -1));
    int first = Math.max(line - AROUND, 0);
    int end = Math.min(line + count + AROUND, lines.size());
    String shown = Texts.cut(numbered(lines.subList(first, end), first + 1), LONGEST_SNIPPET);
    return ToolAnswer.told(path + " has been changed:\n" + Texts.clean(shown), false);
  }

  private static String numbered(List<String> lines, int first) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < lines.size(); i++) {
      if (i > 0) {
        text.append('\n');
      }
      text.append(String.format(Locale.ROOT, "%6d\t%s", first + i, lines.get(i)));
    }
    return text.toString();
  }
}
