package dev.podflare.mcp;

/**
 * What a terminal would show of a stream, for somebody who only reads: a line that is drawn again
 * and again by carriage returns, as progress bars do, counts once, as it was last; colours and
 * other escape sequences are left out. Kept at a bounded size as {@link ClippedText} is.
 *
 * <p>A redraw replaces the whole line. A real terminal would leave what is beyond the new text, of
 * which no program makes use that draws progress.
 */
final class TerminalText {

  /** A line that is longer is not redrawn as a whole, so that its begin needs no memory. */
  private static final int MOST_OF_LINE = 64 * 1024;

  private static final char ESCAPE = '\u001b';
  private static final char BELL = '\u0007';

  /** Where in an escape sequence (ECMA-48) the stream is. */
  private enum State {
    TEXT,
    /** After the escape character. */
    ESCAPED,
    /** In a control sequence, which ends with a letter. */
    CONTROL,
    /** In a string that the terminal takes for itself, such as a window's title. */
    STRING,
    /** After an escape character in such a string, which may be its end. */
    STRING_ESCAPED
  }

  private final ClippedText lines;
  private final StringBuilder line = new StringBuilder();
  private final StringBuilder parameters = new StringBuilder();
  private State state = State.TEXT;
  private boolean returned;

  /**
   * @param limit how many characters are kept
   */
  TerminalText(int limit) {
    lines = new ClippedText(limit);
  }

  void append(String text) {
    for (int i = 0; i < text.length(); i++) {
      take(text.charAt(i));
    }
  }

  private void take(char c) {
    switch (state) {
      case TEXT -> takeText(c);
      case ESCAPED -> {
        parameters.setLength(0);
        state =
            switch (c) {
              case '[' -> State.CONTROL;
              case ']', 'P', 'X', '^', '_' -> State.STRING;
              // An intermediate byte; one more follows.
              case ' ', '#', '%', '(', ')', '*', '+', '-', '.', '/' -> State.ESCAPED;
              default -> State.TEXT;
            };
      }
      case CONTROL -> takeControl(c);
      case STRING -> {
        if (c == BELL) {
          state = State.TEXT;
        } else if (c == ESCAPE) {
          state = State.STRING_ESCAPED;
        } else if (c == '\n') {
          // No such string has lines: this one was never ended.
          state = State.TEXT;
          takeText(c);
        }
      }
      case STRING_ESCAPED -> {
        state = State.TEXT;
        if (c != '\\') {
          state = State.ESCAPED;
          take(c);
        }
      }
    }
  }

  private void takeText(char c) {
    switch (c) {
      case ESCAPE -> state = State.ESCAPED;
      case '\n' -> {
        lines.append(line.append('\n').toString());
        line.setLength(0);
        returned = false;
      }
      case '\r' -> returned = true;
      case '\b' -> line.setLength(Math.max(0, line.length() - 1));
      case BELL -> {}
      default -> {
        if (returned) {
          line.setLength(0);
          returned = false;
        }
        line.append(c);
        if (line.length() >= MOST_OF_LINE && !Character.isHighSurrogate(c)) {
          lines.append(line.toString());
          line.setLength(0);
        }
      }
    }
  }

  private void takeControl(char c) {
    if (c >= '@' && c <= '~') {
      state = State.TEXT;
      boolean wholeLine = parameters.toString().equals("2") || returned;
      if (c == 'K' && wholeLine) {
        line.setLength(0);
        returned = false;
      }
    } else if (c < ' ') {
      // Not in any control sequence.
      state = State.TEXT;
      takeText(c);
    } else if (parameters.length() < 16) {
      parameters.append(c);
    }
  }

  boolean isEmpty() {
    return lines.isEmpty() && line.isEmpty();
  }

  /** The last line that is not blank, for somebody who watches. */
  String lastLine() {
    return line.toString().isBlank() ? lines.lastLine() : line.toString().strip();
  }

  @Override
  public String toString() {
    return Json.wellFormed(lines.with(line.toString()).toString());
  }
}
