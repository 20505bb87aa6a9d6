package dev.podflare.cli;

import dev.podflare.cli.client.Ids;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.text.InWords;
import dev.podflare.cli.text.Style;
import dev.podflare.cli.text.Table;
import java.io.PrintWriter;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;

/**
 * Families as trees, a line for each member: its id, its generation, what it does or how it ended,
 * and how old it is or became.
 */
final class FamilyTree {

  private final List<JsonNode> families;
  private final Map<String, String> states;
  private final List<JsonNode> spaces;
  private final Ids ids;
  private final Ids spaceIds;
  private final Instant now;

  private FamilyTree(
      List<JsonNode> families, List<JsonNode> open, List<JsonNode> spaces, Instant now) {
    this.families = families;
    this.states =
        open.stream()
            .collect(
                Collectors.toMap(
                    sandbox -> sandbox.path("id").asString(),
                    sandbox -> sandbox.path("state").asString()));
    this.spaces = spaces;
    this.ids =
        Ids.ofSandboxes(
            families.stream()
                .flatMap(family -> family.path("sandboxes").valueStream())
                .map(member -> member.path("id").asString())
                .toList());
    this.spaceIds = Ids.ofSpaces(Names.ids(spaces));
    this.now = now;
  }

  /**
   * @param families as the server tells each
   * @param open the sandboxes that are open, for what they do
   * @param spaces those that members may lie in
   */
  static FamilyTree of(
      List<JsonNode> families, List<JsonNode> open, List<JsonNode> spaces, Instant now) {
    return new FamilyTree(families, open, spaces, now);
  }

  void printTo(PrintWriter out, Style style) {
    Table table = new Table();
    for (JsonNode family : families) {
      Map<String, List<JsonNode>> children = new LinkedHashMap<>();
      for (JsonNode member : family.path("sandboxes")) {
        children
            .computeIfAbsent(member.path("parent").asString(""), _ -> new ArrayList<>())
            .add(member);
      }
      for (JsonNode first : children.getOrDefault("", List.of())) {
        draw(first, "", "", children, table);
      }
    }
    table.printTo(out, style);
  }

  /**
   * @param branch what stands before this member
   * @param trunk what stands before those below it
   */
  private void draw(
      JsonNode member,
      String branch,
      String trunk,
      Map<String, List<JsonNode>> children,
      Table table) {
    String id = member.path("id").asString();
    table.row(
        branch + ids.shorten(id),
        "gen " + member.path("generation").asInt(),
        state(member),
        age(member),
        spacesOf(id));
    List<JsonNode> below = children.getOrDefault(id, List.of());
    for (int i = 0; i < below.size(); i++) {
      boolean last = i == below.size() - 1;
      draw(
          below.get(i),
          trunk + (last ? "└─ " : "├─ "),
          trunk + (last ? "   " : "│  "),
          children,
          table);
    }
  }

  private String state(JsonNode member) {
    String end = member.path("end").asString("");
    if (end.isEmpty()) {
      return states.getOrDefault(member.path("id").asString(), "open");
    }
    return end.equals("merged") ? "✔ merged" : end.replace('_', ' ');
  }

  private String age(JsonNode member) {
    Instant created = Instant.ofEpochMilli(member.path("created_at").asLong());
    return member.path("closed_at").isNumber()
        ? "lived "
            + InWords.age(
                Duration.between(created, Instant.ofEpochMilli(member.path("closed_at").asLong())))
        : InWords.age(Duration.between(created, now));
  }

  private String spacesOf(String id) {
    return spaces.stream()
        .filter(space -> space.path("sandbox").asString().equals(id))
        .map(space -> "❄ " + spaceIds.shorten(space.path("id").asString()))
        .collect(Collectors.joining(" "));
  }
}
