package dev.podflare.guest;

/** Makes text from a guest fit to be handed on. */
final class GuestText {

  private static final char REPLACEMENT = '\uFFFD';

  private GuestText() {}

  /**
   * One line of bounded length, for messages and logs: what could move a terminal's cursor, forge a
   * log line or turn the direction of writing becomes a space.
   */
  static String sentence(String text) {
    int end = Math.min(text.length(), Limits.SENTENCE);
    var clean = new StringBuilder(end);
    for (int i = 0; i < end; i++) {
      char c = text.charAt(i);
      clean.append(isPlain(c) ? c : ' ');
    }
    return wellFormed(clean.toString()).strip();
  }

  private static boolean isPlain(char c) {
    return switch (Character.getType(c)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR ->
          false;
      default -> true;
    };
  }

  /**
   * The text with every unpaired surrogate replaced. JSON can spell them, UTF-8 can't, and whoever
   * writes the text again would fail on them.
   */
  static String wellFormed(String text) {
    int at = unpaired(text, 0);
    if (at == text.length()) {
      return text;
    }
    var repaired = new StringBuilder(text);
    while (at < text.length()) {
      repaired.setCharAt(at, REPLACEMENT);
      at = unpaired(text, at + 1);
    }
    return repaired.toString();
  }

  /** Whether every surrogate has its pair. */
  static boolean isWellFormed(String text) {
    return unpaired(text, 0) == text.length();
  }

  /** Where the next unpaired surrogate is, or the text's length. */
  private static int unpaired(String text, int from) {
    for (int i = from; i < text.length(); i++) {
      if (Character.isSurrogate(text.charAt(i))) {
        if (!Character.isSupplementaryCodePoint(text.codePointAt(i))) {
          return i;
        }
        i++;
      }
    }
    return text.length();
  }
}
