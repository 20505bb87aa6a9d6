package dev.podflare.cli.repl;

import java.util.ArrayList;
import java.util.List;

/**
 * A Python statement that is typed line by line. Knows when it is whole, as Python's own prompt
 * does: brackets, strings and line continuations are closed, and a block ends with an empty line.
 */
final class Statement {

  /** What ends in the line that it begins in, unless a string is open over lines. */
  private static final String CLOSED = "";

  private final List<String> lines = new ArrayList<>();
  private int brackets;
  private String openString = CLOSED;
  private boolean isContinued;
  private boolean isBlock;

  boolean isEmpty() {
    return lines.isEmpty();
  }

  String text() {
    return String.join("\n", lines);
  }

  /**
   * Takes the next line.
   *
   * @return whether the statement is whole
   */
  boolean add(String line) {
    if (lines.isEmpty() && line.isBlank()) {
      return false;
    }
    boolean isShell = lines.isEmpty() && (line.startsWith("!") || line.startsWith("%"));
    lines.add(line);
    if (isShell) {
      isBlock = line.startsWith("%%");
      return !isBlock;
    }
    if (isBlock && line.isBlank() && isClosed()) {
      return true;
    }
    String last = read(line);
    if (isClosed() && (last.endsWith(":") || last.startsWith("@"))) {
      isBlock = true;
    }
    return isClosed() && !isBlock;
  }

  private boolean isClosed() {
    return brackets <= 0 && openString.isEmpty() && !isContinued;
  }

  /** Reads a line. Returns what of it is neither comment nor string, without blanks around it. */
  private String read(String line) {
    StringBuilder code = new StringBuilder();
    isContinued = false;
    int i = 0;
    while (i < line.length()) {
      if (!openString.isEmpty()) {
        i = skipString(line, i);
        continue;
      }
      char c = line.charAt(i);
      switch (c) {
        case '#' -> i = line.length();
        case '\'', '"' -> {
          String triple = String.valueOf(c).repeat(3);
          openString = line.startsWith(triple, i) ? triple : String.valueOf(c);
          i += openString.length();
          code.append('"');
        }
        case '\\' -> {
          isContinued = i == line.length() - 1;
          i++;
        }
        default -> {
          if ("([{".indexOf(c) >= 0) {
            brackets++;
          } else if (")]}".indexOf(c) >= 0) {
            brackets--;
          }
          code.append(c);
          i++;
        }
      }
    }
    if (openString.length() == 1 && !line.endsWith("\\")) {
      openString = CLOSED; // An error, which Python will tell.
    }
    return code.toString().strip();
  }

  /** Returns where in the line the open string has ended, or the line has. */
  private int skipString(String line, int from) {
    int i = from;
    while (i < line.length()) {
      if (line.charAt(i) == '\\') {
        i += 2;
      } else if (line.startsWith(openString, i)) {
        int end = i + openString.length();
        openString = CLOSED;
        return end;
      } else {
        i++;
      }
    }
    return line.length();
  }
}
