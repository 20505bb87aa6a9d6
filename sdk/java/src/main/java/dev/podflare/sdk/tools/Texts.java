package dev.podflare.sdk.tools;

import static java.util.stream.Collectors.joining;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;
import java.util.regex.Pattern;

/** What makes a text fit for a model. */
final class Texts {
  /** Colours and movements of the cursor; titles and links; the rest. */
  private static final Pattern ESCAPE =
      Pattern.compile(
          "\\x1b(?:\\[[0-?]*[ -/]*[@-~]"
              + "|[\\]PX^_][^\\x07\\x1b\\n]*+(?:\\x07|\\x1b\\\\)?"
              + "|[ -/]*[0-~])");

  private Texts() {}

  /** The text, or its beginning and its end with a word about what is left out between them. */
  static String cut(String text, int limit) {
    int length = text.length() <= limit ? text.length() : text.codePointCount(0, text.length());
    if (length <= limit) {
      return text;
    }
    int head = (int) (limit * 3L / 5);
    int tail = (int) (limit * 2L / 5);
    int end = text.offsetByCodePoints(0, head);
    int begin = text.offsetByCodePoints(text.length(), -tail);
    return String.format(
        Locale.ROOT,
        "%s\n[… %,d characters are left out here. Print less, or write it to a file and look at"
            + " parts of it …]\n%s",
        text.substring(0, end),
        length - head - tail,
        text.substring(begin));
  }

  /** The text without halves of surrogate pairs, which no provider's API takes. */
  static String clean(String text) {
    return new String(text.getBytes(StandardCharsets.UTF_16BE), StandardCharsets.UTF_16BE);
  }

  /**
   * The text as a terminal would leave it: without escape codes, and of a line that was drawn again
   * and again, as a progress bar is, the last state. Takes time in proportion to its length.
   */
  static String screen(String text) {
    String left = text.indexOf('\033') < 0 ? text : ESCAPE.matcher(text).replaceAll("");
    if (left.indexOf('\b') >= 0) {
      left = withoutWhatWasErased(left);
    }
    if (left.indexOf('\r') >= 0) {
      left = Arrays.stream(left.split("\n", -1)).map(Texts::lastDrawn).collect(joining("\n"));
    }
    return left;
  }

  private static String withoutWhatWasErased(String text) {
    StringBuilder kept = new StringBuilder(text.length());
    text.codePoints()
        .forEach(letter -> {
          if (letter != '\b') {
            kept.appendCodePoint(letter);
          } else if (!kept.isEmpty() && "\r\n".indexOf(kept.charAt(kept.length() - 1)) < 0) {
            kept.setLength(kept.offsetByCodePoints(kept.length(), -1));
          }
        });
    return kept.toString();
  }

  private static String lastDrawn(String line) {
    String drawn = withoutAtTheEnd(line, "\r");
    return drawn.substring(drawn.lastIndexOf('\r') + 1);
  }

  static String withoutNewlinesAtTheEnd(String text) {
    return withoutAtTheEnd(text, "\n");
  }

  /** The text without any of these characters at its end. */
  static String withoutAtTheEnd(String text, String characters) {
    int end = text.length();
    while (end > 0 && characters.indexOf(text.charAt(end - 1)) >= 0) {
      end--;
    }
    return text.substring(0, end);
  }
}
