package dev.podflare.mcp;

/**
 * Text that grows without bound and is kept at a bounded size: its begin and its end. What is left
 * out of the middle is said, since a model takes what it reads for the whole.
 */
final class ClippedText {

  private final int half;
  private final StringBuilder head = new StringBuilder();
  private final StringBuilder tail = new StringBuilder();
  private long length;

  /**
   * @param limit how many characters are kept
   */
  ClippedText(int limit) {
    this.half = limit / 2;
  }

  void append(String text) {
    length += text.length();
    int toHead = Math.min(text.length(), half - head.length());
    head.append(text, 0, toHead);
    // The last characters are all that can still be kept of a long piece.
    tail.append(text, Math.max(toHead, text.length() - half), text.length());
    if (tail.length() > 2 * half) {
      tail.delete(0, tail.length() - half);
    }
  }

  /** The same text with more behind it; this one stays as it is. */
  ClippedText with(String more) {
    ClippedText copy = new ClippedText(2 * half);
    copy.head.append(head);
    copy.tail.append(tail);
    copy.length = length;
    copy.append(more);
    return copy;
  }

  boolean isEmpty() {
    return length == 0;
  }

  /** The last line that is not blank, for somebody who watches. */
  String lastLine() {
    String end = tail.isEmpty() ? head.toString() : tail.toString();
    return end.lines().filter(line -> !line.isBlank()).reduce("", (_, last) -> last).strip();
  }

  @Override
  public String toString() {
    if (length <= 2L * half) {
      return head.toString() + tail;
    }
    String begin = withoutHalfAtEnd(head.toString());
    String end = withoutHalfAtBegin(tail.substring(tail.length() - half));
    long left = length - begin.length() - end.length();
    return begin
        + "\n[… "
        + left
        + " characters left out here. To see them, write the output to a file and print parts of it"
        + " …]\n"
        + end;
  }

  /** A cut must not go through a surrogate pair: half of one is no character. */
  private static String withoutHalfAtEnd(String text) {
    int end = text.length();
    return end > 0 && Character.isHighSurrogate(text.charAt(end - 1))
        ? text.substring(0, end - 1)
        : text;
  }

  private static String withoutHalfAtBegin(String text) {
    return !text.isEmpty() && Character.isLowSurrogate(text.charAt(0)) ? text.substring(1) : text;
  }
}
