package dev.podflare.mcp;

import dev.podflare.mcp.ToolSpec.Hint;
import dev.podflare.mcp.ToolSpec.Parameter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Tools to try many ways side by side. */
final class BranchTools {

  private static final int MOST_CHILDREN = 100;
  private static final int MOST_PATHS = 64;

  /** Of each kind of change: a model needs the gist. */
  private static final int MOST_TOLD = 100;

  private static final int MOST_TEXT = 20_000;

  private BranchTools() {}

  static List<ToolSpec> all(Mode mode) {
    return List.of(
        new ToolSpec(
            "fork",
            "Fork a sandbox",
            """
            Makes n live copies of a sandbox in one instant: each child has every variable, file and \
            process of its parent, and goes its own way from there. Set up once, fork, try a different \
            idea in each child by its sandbox_id (the calls may run in parallel), compare with diff, \
            then merge_into the best one and destroy the others. Answers the children's ids.\
            """,
            Set.of(),
            List.of(
                Parameter.integer("n", 1, MOST_CHILDREN, "How many (default 1)."),
                mode.sandbox("What is copied")),
            BranchTools::fork),
        new ToolSpec(
            "diff",
            "Compare two sandboxes",
            """
            Tells what differs between two sandboxes, seen from the first (sandbox_id) to the second \
            (other_id): files that were added, removed and modified under /root and /tmp, and Python \
            variables. Use it to see what a fork has changed before you merge it.\
            """,
            Set.of(Hint.READS_ONLY),
            List.of(
                mode.sandbox("The first, for example the parent"),
                Parameter.text("other_id", "The sandbox_id of the second, for example a fork.")
                    .needed(),
                Parameter.texts("paths", "Absolute paths to compare under (default /root, /tmp)."),
                Parameter.flag(
                    "variables",
                    "Whether to compare Python variables, which waits until no code runs (default"
                        + " true)."),
                Parameter.flag(
                    "text",
                    "Whether to show the changed lines of small text files (default false).")),
            BranchTools::diff),
        new ToolSpec(
            "merge_into",
            "Merge the winner",
            """
            Takes over what a fork (winner_id) has done. Mode swap, the default: from now on the \
            parent's sandbox_id is the winner as a whole, with its variables, files and processes; the \
            parent's own state since the fork is dropped, and winner_id is gone. Mode files: only the \
            files that the winner changed since the fork are applied to the parent, which stays alive \
            with its variables; on_conflict says whose file is taken where both changed it.\
            """,
            Set.of(Hint.DESTROYS),
            List.of(
                Parameter.text("winner_id", "The sandbox_id of the fork that won.").needed(),
                mode.sandbox("The parent"),
                Parameter.oneOf("mode", List.of("swap", "files"), "Default swap."),
                Parameter.oneOf(
                    "on_conflict",
                    List.of("fail", "winner", "parent"),
                    "For mode files (default fail: merge nothing, and tell the conflicts)."),
                Parameter.texts("paths", "For mode files (default /root, /tmp)."),
                Parameter.flag("dry_run", "Tell only what would be done.")),
            BranchTools::merge));
  }

  private static ToolAnswer fork(ToolCall call) {
    int n = call.arguments().integer("n", 1, MOST_CHILDREN).orElse(1);
    String parent = call.sandbox();
    Map<String, Object> fork = call.calls().fork(parent, n);
    List<String> children = texts(fork.get("children"));
    call.caller().forked(parent, children);
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("children", children);
    facts.put("parent", parent);
    return ToolAnswer.json(facts);
  }

  private static ToolAnswer diff(ToolCall call) {
    Arguments arguments = call.arguments();
    String other = arguments.requiredSandbox("other_id");
    boolean text = arguments.flag("text").orElse(false);
    Map<String, Object> difference =
        call.calls()
            .diff(
                call.sandbox(),
                other,
                arguments.texts("paths", MOST_PATHS),
                arguments.flag("variables").orElse(true),
                text);
    Map<String, Object> facts = lists(difference);
    if (difference.get("variables") instanceof Map<?, ?> variables) {
      facts.put("variables", variables(variables));
    }
    if (text && difference.get("details") instanceof Map<?, ?> details) {
      facts.put("text", changedLines(details));
    }
    facts.put("truncated", Boolean.TRUE.equals(difference.get("truncated")));
    return ToolAnswer.json(facts);
  }

  private static ToolAnswer merge(ToolCall call) {
    Arguments arguments = call.arguments();
    String winner = arguments.requiredSandbox("winner_id");
    Map<String, Object> how = new LinkedHashMap<>();
    String mode = arguments.oneOf("mode", List.of("swap", "files")).orElse("swap");
    how.put("mode", mode);
    boolean dry = arguments.flag("dry_run").orElse(false);
    how.put("dry_run", dry);
    if (arguments.has("paths")) {
      how.put("paths", arguments.texts("paths", MOST_PATHS));
    }
    arguments
        .oneOf("on_conflict", List.of("fail", "winner", "parent"))
        .ifPresent(whose -> how.put("on_conflict", whose));
    String parent = call.sandbox();
    Map<String, Object> report = call.calls().merge(parent, winner, how);
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("sandbox_id", parent);
    facts.put("mode", mode);
    facts.put("applied", !dry);
    if (mode.equals("swap") && !dry) {
      call.caller().gone(winner);
      facts.put("gone", winner);
    } else {
      facts.putAll(lists(report));
      facts.put("conflicts", firstOf(report.get("conflicts")));
    }
    return ToolAnswer.json(facts);
  }

  /** The paths of each kind, at most so many, and how many there are beyond. */
  private static Map<String, Object> lists(Map<String, Object> report) {
    Map<String, Object> facts = new LinkedHashMap<>();
    for (String kind : List.of("added", "removed", "modified")) {
      facts.put(kind, firstOf(report.get(kind)));
      if (report.get(kind) instanceof List<?> all && all.size() > MOST_TOLD) {
        facts.put(kind + "_not_listed", all.size() - MOST_TOLD);
      }
    }
    return facts;
  }

  private static Map<String, Object> variables(Map<?, ?> variables) {
    Map<String, Object> facts = new LinkedHashMap<>();
    for (String kind : List.of("added", "removed", "modified")) {
      if (variables.get(kind) instanceof Map<?, ?> named) {
        Map<String, Object> told = new LinkedHashMap<>();
        named.forEach((name, value) -> {
          if (told.size() < MOST_TOLD) {
            told.put(String.valueOf(name), briefly(value));
          }
        });
        facts.put(kind, told);
        if (named.size() > MOST_TOLD) {
          facts.put(kind + "_not_listed", named.size() - MOST_TOLD);
        }
      }
    }
    return facts;
  }

  /** A value as its repr, a change as both. */
  private static Object briefly(@Nullable Object value) {
    if (value instanceof Map<?, ?> fields) {
      Object repr = fields.get("repr");
      return repr == null
          ? Map.of("from", briefly(fields.get("from")), "to", briefly(fields.get("to")))
          : repr;
    }
    return String.valueOf(value);
  }

  private static Map<String, Object> changedLines(Map<?, ?> details) {
    Map<String, Object> told = new LinkedHashMap<>();
    int[] room = {MOST_TEXT};
    details.forEach((path, detail) -> {
      if (detail instanceof Map<?, ?> fields
          && fields.get("text") instanceof String text
          && text.length() <= room[0]) {
        room[0] -= text.length();
        told.put(String.valueOf(path), text);
      }
    });
    return told;
  }

  private static List<?> firstOf(@Nullable Object value) {
    return value instanceof List<?> all
        ? all.subList(0, Math.min(all.size(), MOST_TOLD))
        : List.of();
  }

  private static List<String> texts(@Nullable Object value) {
    List<String> texts = new ArrayList<>();
    if (value instanceof List<?> all) {
      all.forEach(one -> texts.add(String.valueOf(one)));
    }
    return texts;
  }
}
