package dev.podflare.sdk.tools;

import java.nio.charset.StandardCharsets;
import java.util.Locale;

/** What makes a text fit for a model. */
final class Texts {
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
