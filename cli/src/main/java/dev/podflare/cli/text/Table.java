package dev.podflare.cli.text;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** Rows whose columns stand one below the other. */
public final class Table {

  private static final String GAP = "  ";

  private final List<List<String>> rows = new ArrayList<>();
  private final Set<Integer> hidden = new HashSet<>();
  private boolean hasHead;

  /** The names of the columns. */
  public Table head(String... names) {
    hasHead = true;
    return row(names);
  }

  public Table row(String... cells) {
    rows.add(List.of(cells));
    return this;
  }

  /** Leaves out columns in which nothing stands but their name. */
  public Table withoutEmptyColumns() {
    int columns = columns();
    for (int i = 0; i < columns; i++) {
      int column = i;
      if (rows.stream()
          .skip(hasHead ? 1 : 0)
          .allMatch(row -> column >= row.size() || row.get(column).isEmpty())) {
        hidden.add(column);
      }
    }
    return this;
  }

  private int columns() {
    return rows.stream().mapToInt(List::size).max().orElse(0);
  }

  public void printTo(PrintWriter out) {
    printTo(out, Style.plain());
  }

  /** With words for states in their colours. */
  public void printTo(PrintWriter out, Style style) {
    int[] widths = new int[columns()];
    for (List<String> row : rows) {
      for (int i = 0; i < row.size(); i++) {
        widths[i] = Math.max(widths[i], width(row.get(i)));
      }
    }
    boolean isHead = hasHead;
    for (List<String> row : rows) {
      out.println(line(row, widths, style, isHead));
      isHead = false;
    }
  }

  private String line(List<String> row, int[] widths, Style style, boolean isHead) {
    StringBuilder line = new StringBuilder();
    int blanks = 0;
    for (int i = 0; i < row.size(); i++) {
      if (hidden.contains(i)) {
        continue;
      }
      String cell = row.get(i);
      if (!cell.isEmpty()) {
        line.repeat(' ', blanks).append(isHead ? style.bold(cell) : style.state(cell));
        blanks = 0;
      }
      blanks += widths[i] - width(cell) + GAP.length();
    }
    return line.toString().stripTrailing();
  }

  private static int width(String cell) {
    return cell.codePointCount(0, cell.length());
  }
}
