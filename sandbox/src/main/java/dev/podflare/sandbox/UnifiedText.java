package dev.podflare.sandbox;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The change of a text in unified format, by the greedy algorithm of Myers (1986): as few lines
 * removed and added as can be. Its cost grows with the square of that number, and the texts are
 * anybody's, so beyond {@link #MOST_EDITS} the middle of the text is told as replaced.
 */
final class UnifiedText {

  private static final int CONTEXT = 3;
  private static final int MOST_EDITS = 1000;

  /** Nowhere. */
  static final String NULL = "/dev/null";

  private final List<String> from;
  private final List<String> to;

  /** What becomes of each line, in order: kept, removed or added. */
  private final List<Edit> edits = new ArrayList<>();

  private enum Kind {
    KEPT(' '),
    REMOVED('-'),
    ADDED('+');

    private final char sign;

    Kind(char sign) {
      this.sign = sign;
    }
  }

  /**
   * @param fromLine how many lines of the first text lie before this one
   * @param toLine how many lines of the second text lie before this one
   */
  private record Edit(Kind kind, int fromLine, int toLine) {}

  private UnifiedText(String from, String to) {
    this.from = lines(from);
    this.to = lines(to);
  }

  /**
   * The change.
   *
   * @param fromName how the first text is named in the heading; {@link #NULL} if there was none
   * @param toName how the second text is named; {@link #NULL} if there is none
   * @return empty if the texts are equal
   */
  static String of(String fromName, String from, String toName, String to) {
    if (from.equals(to)) {
      return "";
    }
    var texts = new UnifiedText(from, to);
    texts.compare();
    return "--- " + fromName + "\n+++ " + toName + "\n" + texts.hunks();
  }

  /** Each with its line feed, which the last may lack. */
  private static List<String> lines(String text) {
    var lines = new ArrayList<String>();
    int begin = 0;
    while (begin < text.length()) {
      int feed = text.indexOf('\n', begin);
      int end = feed < 0 ? text.length() : feed + 1;
      lines.add(text.substring(begin, end));
      begin = end;
    }
    return lines;
  }

  private void compare() {
    int begin = 0;
    int fromEnd = from.size();
    int toEnd = to.size();
    while (begin < fromEnd && begin < toEnd && from.get(begin).equals(to.get(begin))) {
      edits.add(new Edit(Kind.KEPT, begin, begin));
      begin++;
    }
    while (fromEnd > begin && toEnd > begin && from.get(fromEnd - 1).equals(to.get(toEnd - 1))) {
      fromEnd--;
      toEnd--;
    }
    compareMiddle(begin, fromEnd, toEnd);
    for (int i = 0; fromEnd + i < from.size(); i++) {
      edits.add(new Edit(Kind.KEPT, fromEnd + i, toEnd + i));
    }
  }

  private void compareMiddle(int begin, int fromEnd, int toEnd) {
    int n = fromEnd - begin;
    int m = toEnd - begin;
    int most = Math.min(n + m, MOST_EDITS);
    // reached[k + most]: how far in the first text one comes on diagonal k, which is lines of the
    // first less lines of the second, with so many edits.
    int[] reached = new int[2 * most + 2];
    var history = new ArrayList<int[]>();
    for (int edits = 0; edits <= most; edits++) {
      history.add(Arrays.copyOfRange(reached, most - edits, most + edits + 2));
      for (int k = -edits; k <= edits; k += 2) {
        int x = isDown(reached, most, k, edits) ? reached[most + k + 1] : reached[most + k - 1] + 1;
        while (x < n && x - k < m && x - k >= 0 && sameLine(begin + x, begin + x - k)) {
          x++;
        }
        reached[most + k] = x;
        if (x >= n && x - k >= m) {
          goBack(begin, n, m, history);
          return;
        }
      }
    }
    for (int i = 0; i < n; i++) {
      edits.add(new Edit(Kind.REMOVED, begin + i, begin));
    }
    for (int i = 0; i < m; i++) {
      edits.add(new Edit(Kind.ADDED, fromEnd, begin + i));
    }
  }

  private boolean sameLine(int inFrom, int inTo) {
    return from.get(inFrom).equals(to.get(inTo));
  }

  /** Whether the best way to diagonal k with one more edit is to add a line. */
  private static boolean isDown(int[] reached, int middle, int k, int edits) {
    return k == -edits || (k != edits && reached[middle + k - 1] < reached[middle + k + 1]);
  }

  private void goBack(int begin, int n, int m, List<int[]> history) {
    var backwards = new ArrayList<Edit>();
    int x = n;
    int y = m;
    for (int edit = history.size() - 1; edit >= 0; edit--) {
      int[] before = history.get(edit);
      int k = x - y;
      boolean down = isDown(before, edit, k, edit);
      int previousX = edit == 0 ? 0 : before[edit + (down ? k + 1 : k - 1)];
      int previousY = edit == 0 ? 0 : previousX - (down ? k + 1 : k - 1);
      int startX = edit == 0 ? 0 : down ? previousX : previousX + 1;
      while (x > startX) {
        x--;
        y--;
        backwards.add(new Edit(Kind.KEPT, begin + x, begin + y));
      }
      if (edit > 0) {
        backwards.add(
            new Edit(down ? Kind.ADDED : Kind.REMOVED, begin + previousX, begin + previousY));
        x = previousX;
        y = previousY;
      }
    }
    edits.addAll(backwards.reversed());
  }

  private String hunks() {
    var text = new StringBuilder();
    int at = 0;
    while (at < edits.size()) {
      if (edits.get(at).kind() == Kind.KEPT) {
        at++;
        continue;
      }
      int begin = Math.max(0, at - CONTEXT);
      int end = endOfHunk(at);
      writeHunk(text, edits.subList(begin, end));
      at = end;
    }
    return text.toString();
  }

  /** Changes with so few lines between them that their contexts would touch are one hunk. */
  private int endOfHunk(int firstChange) {
    int lastChange = firstChange;
    for (int i = firstChange; i < edits.size() && i - lastChange <= 2 * CONTEXT; i++) {
      if (edits.get(i).kind() != Kind.KEPT) {
        lastChange = i;
      }
    }
    return Math.min(edits.size(), lastChange + 1 + CONTEXT);
  }

  private void writeHunk(StringBuilder text, List<Edit> hunk) {
    long removed = hunk.stream().filter(edit -> edit.kind() != Kind.ADDED).count();
    long added = hunk.stream().filter(edit -> edit.kind() != Kind.REMOVED).count();
    text.append("@@ -").append(range(hunk.getFirst().fromLine(), removed));
    text.append(" +").append(range(hunk.getFirst().toLine(), added)).append(" @@\n");
    for (Edit edit : hunk) {
      String line = edit.kind() == Kind.ADDED ? to.get(edit.toLine()) : from.get(edit.fromLine());
      text.append(edit.kind().sign).append(line);
      if (!line.endsWith("\n")) {
        text.append("\n\\ No newline at end of file\n");
      }
    }
  }

  /** Lines count from 1; where there is none, the line before it is named. */
  private static String range(int before, long count) {
    return count == 0 ? before + ",0" : count == 1 ? "" + (before + 1) : before + 1 + "," + count;
  }
}
