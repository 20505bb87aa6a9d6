package dev.podflare.mcp;

import dev.podflare.mcp.ToolSpec.Hint;
import dev.podflare.mcp.ToolSpec.Parameter;
import io.modelcontextprotocol.spec.McpSchema;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Tools for the life of a sandbox. */
final class SandboxTools {

  private static final int MOST_LISTED = 50;
  private static final int MOST_SECONDS = 7 * 24 * 3600;

  private SandboxTools() {}

  static List<ToolSpec> all() {
    return List.of(
        new ToolSpec(
            "create_sandbox",
            "Create a sandbox",
            """
            Makes one more isolated Linux machine, ready in milliseconds, and answers its sandbox_id. \
            You rarely need it: without sandbox_id every tool uses this conversation's own sandbox. \
            Make one for another template (python-datasci has pandas, numpy, scipy, matplotlib), for \
            code that must not reach the internet (egress false), or for more memory. It is destroyed \
            when it was idle for idle_timeout_seconds, or frozen and waked at the next call if it is \
            persistent. Destroy it when you are done.\
            """,
            Set.of(),
            List.of(
                Parameter.text("template", "default, or python-datasci."),
                Parameter.flag("egress", "Whether it reaches the internet (default true)."),
                Parameter.flag(
                    "persistent", "Freeze it when it is idle, in place of destroying it."),
                Parameter.integer(
                    "idle_timeout_seconds",
                    1,
                    MOST_SECONDS,
                    "How long it may be idle (default 300)."),
                Parameter.integer("cpus", 1, 64, "Virtual processors."),
                Parameter.integer("memory_mb", 1, 1 << 20, "Memory in MiB (default 1024)."),
                Parameter.integer("disk_mb", 1, 1 << 20, "Disk in MiB (default 4096).")),
            SandboxTools::create),
        new ToolSpec(
            "list_sandboxes",
            "List sandboxes",
            """
            Lists the sandboxes that are open, newest first, and the spaces (frozen sandboxes) that \
            can be resumed. The one with "own": true is this conversation's.\
            """,
            Set.of(Hint.READS_ONLY),
            List.of(),
            SandboxTools::list),
        new ToolSpec(
            "destroy_sandbox",
            "Destroy a sandbox",
            """
            Destroys a sandbox with all its variables, files and processes; this can't be undone. \
            Without sandbox_id it destroys this conversation's own, and the next call gets a fresh one: \
            the way to begin again.\
            """,
            Set.of(Hint.DESTROYS),
            List.of(Parameter.sandbox("Which one. Leave it out for this conversation's own.")),
            SandboxTools::destroy),
        new ToolSpec(
            "freeze",
            "Freeze a sandbox to disk",
            """
            Freezes a sandbox to disk once its code has ended: memory, files and processes, as a space \
            that stays until it is deleted. Answers its space_id. The sandbox_id is gone then; resume \
            brings it back, as often as you like, also in another conversation.\
            """,
            Set.of(),
            List.of(Parameter.sandbox("Which one. Leave it out for this conversation's own.")),
            SandboxTools::freeze),
        new ToolSpec(
            "resume",
            "Resume a frozen sandbox",
            """
            Wakes a new sandbox from a space, with every variable, file and process as it was frozen, \
            and answers its sandbox_id. The space stays and can be resumed again. list_sandboxes tells \
            the spaces that there are.\
            """,
            Set.of(),
            List.of(Parameter.text("space_id", "What freeze answered.").needed()),
            SandboxTools::resume));
  }

  private static McpSchema.CallToolResult create(ToolCall call) {
    Arguments arguments = call.arguments();
    Map<String, Object> wanted = new LinkedHashMap<>();
    arguments.text("template").ifPresent(template -> wanted.put("template", template));
    arguments.flag("egress").ifPresent(egress -> wanted.put("egress", egress));
    arguments.flag("persistent").ifPresent(persistent -> wanted.put("persistent", persistent));
    put(wanted, "idle_timeout_seconds", arguments, MOST_SECONDS);
    put(wanted, "cpus", arguments, 64);
    put(wanted, "memory_mb", arguments, 1 << 20);
    put(wanted, "disk_mb", arguments, 1 << 20);
    return Answers.json(Map.of("sandbox_id", call.calls().create(wanted)));
  }

  private static void put(Map<String, Object> wanted, String name, Arguments arguments, int most) {
    Optional<Integer> value = arguments.integer(name, 1, most);
    value.ifPresent(number -> wanted.put(name, number));
  }

  private static McpSchema.CallToolResult list(ToolCall call) {
    Map<String, Object> facts = new LinkedHashMap<>();
    List<Map<String, Object>> sandboxes = new ArrayList<>();
    for (Map<String, Object> sandbox : call.calls().sandboxes(1000).reversed()) {
      String id = String.valueOf(sandbox.get("id"));
      Map<String, Object> told = new LinkedHashMap<>();
      told.put("sandbox_id", id);
      told.put("own", call.connection().isOwn(id));
      told.putAll(
          some(
              sandbox,
              List.of("state", "template", "egress", "persistent", "parent", "memory_mb")));
      sandboxes.add(told);
    }
    List<Map<String, Object>> spaces = new ArrayList<>();
    for (Map<String, Object> space : call.calls().spaces().reversed()) {
      // One that a persistent sandbox sleeps in is that sandbox's, and is told with it.
      if (space.get("held_by") == null) {
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("space_id", String.valueOf(space.get("id")));
        told.putAll(some(space, List.of("template", "memory_mb")));
        spaces.add(told);
      }
    }
    facts.put("sandboxes", firstOf(sandboxes));
    facts.put("spaces", firstOf(spaces));
    int left =
        sandboxes.size() + spaces.size() - firstOf(sandboxes).size() - firstOf(spaces).size();
    if (left > 0) {
      facts.put("not_listed", left);
    }
    return Answers.json(facts);
  }

  private static List<Map<String, Object>> firstOf(List<Map<String, Object>> all) {
    return all.subList(0, Math.min(all.size(), MOST_LISTED));
  }

  private static Map<String, Object> some(Map<String, Object> all, List<String> names) {
    Map<String, Object> some = new LinkedHashMap<>();
    for (String name : names) {
      Object value = all.get(name);
      if (value != null) {
        some.put(name, value);
      }
    }
    return some;
  }

  private static McpSchema.CallToolResult destroy(ToolCall call) {
    Optional<String> meant =
        call.arguments().sandbox("sandbox_id").or(() -> call.connection().ownIfAny());
    if (meant.isEmpty()) {
      return Answers.text("This conversation has no sandbox yet; the next call gets a fresh one.");
    }
    call.calls().close(meant.get());
    call.connection().gone(meant.get());
    return Answers.json(Map.of("destroyed", meant.get()));
  }

  private static McpSchema.CallToolResult freeze(ToolCall call) {
    String sandbox = call.sandbox();
    String space = call.calls().freeze(sandbox);
    call.connection().gone(sandbox);
    return Answers.json(Map.of("space_id", space));
  }

  private static McpSchema.CallToolResult resume(ToolCall call) {
    String sandbox = call.calls().resume(call.arguments().requiredSpace("space_id"));
    return Answers.json(Map.of("sandbox_id", sandbox));
  }
}
