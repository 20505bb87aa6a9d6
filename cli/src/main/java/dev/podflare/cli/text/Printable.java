package dev.podflare.cli.text;

/**
 * Text of a guest as it can be shown: it must not reach the terminal as a command to it, which
 * escape sequences are.
 */
public final class Printable {

  private Printable() {}

  /** On one line: every control character is written as an escape. */
  public static String line(String text) {
    return escaped(text, "");
  }

  /** The same over many lines; tabs stay too. */
  public static String lines(String text) {
    return escaped(text, "\n\t");
  }

  private static String escaped(String text, String kept) {
    StringBuilder shown = new StringBuilder(text.length());
    text.codePoints()
        .forEach(c -> {
          if (isShown(c) || kept.indexOf(c) >= 0) {
            shown.appendCodePoint(c);
          } else {
            shown.append(c <= 0xff ? "\\x%02x".formatted(c) : "\\u%04x".formatted(c));
          }
        });
    return shown.toString();
  }

  /** Formats change the direction of what follows, so that it reads as something else. */
  private static boolean isShown(int c) {
    return switch (Character.getType(c)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR ->
          false;
      default -> true;
    };
  }
}
