package dev.podflare.cli.text;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;

/**
 * Writes a difference for people: {@code +} was added, {@code -} was removed, {@code ~} changed.
 */
public final class DifferenceText {

  private static final Map<String, String> MARKS =
      Map.of("added", "+", "removed", "-", "modified", "~");
  private static final List<String> KINDS = List.of("added", "modified", "removed");

  private DifferenceText() {}

  public static void print(JsonNode difference, PrintWriter out) {
    print(difference, out, Style.plain());
  }

  public static void print(JsonNode difference, PrintWriter out, Style style) {
    boolean files = KINDS.stream().anyMatch(kind -> !difference.path(kind).isEmpty());
    JsonNode variables = difference.path("variables");
    boolean names = KINDS.stream().anyMatch(kind -> !variables.path(kind).isEmpty());
    if (files) {
      printFiles(difference, out, style);
    }
    if (names) {
      out.println(files ? System.lineSeparator() + "variables" : "variables");
      printVariables(variables, out, style);
    }
    if (!files && !names) {
      out.println("no difference");
    }
    if (difference.path("truncated").asBoolean()) {
      out.println("There is more than is shown here; name fewer files with --path.");
    }
  }

  /** The paths of an answer that has them by kind, as a merge's has too. */
  public static void printPaths(JsonNode answer, PrintWriter out, Style style) {
    for (String kind : KINDS) {
      for (JsonNode path : answer.path(kind)) {
        out.println(painted(kind, MARKS.get(kind) + " " + Printable.line(path.asString()), style));
      }
    }
  }

  private static void printFiles(JsonNode difference, PrintWriter out, Style style) {
    out.println("files");
    for (String kind : KINDS) {
      for (JsonNode path : difference.path(kind)) {
        JsonNode detail = difference.path("details").path(path.asString());
        out.println(
            "  "
                + painted(kind, MARKS.get(kind) + " " + Printable.line(path.asString()), style)
                + (kind.equals("modified") ? "  (" + changesOf(detail) + ")" : ""));
        String text = detail.path("text").asString("");
        if (!text.isEmpty()) {
          Printable.lines(text)
              .lines()
              .forEach(line -> out.println("      " + changedLine(line, style)));
        }
      }
    }
  }

  private static String painted(String kind, String text, Style style) {
    return switch (kind) {
      case "added" -> style.added(text);
      case "removed" -> style.removed(text);
      default -> style.modified(text);
    };
  }

  private static String changedLine(String line, Style style) {
    if (line.startsWith("+")) {
      return style.added(line);
    }
    return line.startsWith("-") ? style.removed(line) : line;
  }

  private static String changesOf(JsonNode detail) {
    List<String> changes = new ArrayList<>();
    for (JsonNode aspect : detail.path("changed")) {
      String name = aspect.asString();
      changes.add(
          name.equals("content")
              ? name
              : name
                  + " "
                  + Printable.line(detail.path("from").path(name).asString(""))
                  + " → "
                  + Printable.line(detail.path("to").path(name).asString("")));
    }
    return String.join(", ", changes);
  }

  private static void printVariables(JsonNode variables, PrintWriter out, Style style) {
    for (String kind : KINDS) {
      for (Map.Entry<String, JsonNode> variable : variables.path(kind).properties()) {
        JsonNode value = variable.getValue();
        out.println(
            "  "
                + painted(kind, MARKS.get(kind) + " " + Printable.line(variable.getKey()), style)
                + ": "
                + (kind.equals("modified")
                    ? valueOf(value.path("from")) + " → " + valueOf(value.path("to"))
                    : valueOf(value)));
      }
    }
  }

  private static String valueOf(JsonNode variable) {
    return Printable.line(variable.path("type").asString(""))
        + " "
        + Printable.line(variable.path("repr").asString(""));
  }
}
