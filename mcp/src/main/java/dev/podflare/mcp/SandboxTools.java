package dev.podflare.mcp;

import dev.podflare.mcp.ToolSpec.Hint;
import dev.podflare.mcp.ToolSpec.Parameter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Tools for the life of a sandbox. */
final class SandboxTools {

  private static final int MOST_LISTED = 50;
  private static final int MOST_READ = 1000;
  private static final int MOST_SECONDS = 7 * 24 * 3600;

  private SandboxTools() {}

  static List<ToolSpec> all(Mode mode) {
    return List.of(
        new ToolSpec(
            "create_sandbox",
            "Create a sandbox",
            mode.words(
                    """
                    Makes one more isolated Linux machine, ready in milliseconds, and answers its \
                    sandbox_id. You rarely need it: without sandbox_id every tool uses this \
                    conversation's own sandbox. Make one for another template\
                    """,
                    """
                    Makes one more isolated Linux machine, ready in milliseconds, and answers its \
                    sandbox_id, to be passed in later calls. You rarely need it: run_python without \
                    sandbox_id makes one too. Make one for another template\
                    """)
                + """
                 (list_templates tells them), for code that must not reach the internet (egress \
                false), or for more memory. It is destroyed when it was idle for \
                idle_timeout_seconds, or frozen and resumed at the next call if it is persistent. \
                Destroy it when you are done.\
                """,
            Set.of(),
            List.of(
                Parameter.text("template", "A name that list_templates tells (default: default)."),
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
                Parameter.integer("disk_mb", 1, 1 << 20, "Disk in MiB (default 4096)."),
                Parameter.flag(
                    "auto_install",
                    "Install with pip what Python imports and is not there (default false).")),
            call -> create(call, mode)),
        new ToolSpec(
            "list_sandboxes",
            "List sandboxes",
            mode.words(
                """
                Lists this conversation's open sandboxes, newest first, and the spaces (frozen \
                sandboxes) that can be resumed. The one with "own": true is meant by calls without \
                sandbox_id. Those of other conversations are listed only with all true; do not \
                destroy what you did not make.\
                """,
                """
                Lists the open sandboxes that calls of these tools have made, newest first, and the \
                spaces (frozen sandboxes) that can be resumed. Other programs' sandboxes are listed \
                only with all true; do not destroy what you did not make.\
                """),
            Set.of(Hint.READS_ONLY),
            List.of(
                Parameter.flag(
                    "all", "Also those that others have made with the same key (default false).")),
            call -> list(call, mode)),
        new ToolSpec(
            "destroy_sandbox",
            "Destroy a sandbox",
            "Destroys a sandbox with all its variables, files and processes; this can't be undone."
                + mode.words(
                    " Without sandbox_id it destroys this conversation's own, and the next call"
                        + " gets a fresh one: the way to begin again.",
                    " To begin again, call run_python without sandbox_id."),
            Set.of(Hint.DESTROYS),
            List.of(mode.sandbox("Which one")),
            call -> destroy(call, mode)),
        new ToolSpec(
            "freeze",
            "Freeze a sandbox to disk",
            """
            Freezes a sandbox to disk once its code has ended: memory, files and processes, as a space \
            that stays until delete_space. Answers its space_id. The sandbox_id is gone then; resume \
            brings it back, as often as you like, also in another conversation.\
            """,
            Set.of(),
            List.of(mode.sandbox("Which one")),
            SandboxTools::freeze),
        new ToolSpec(
            "resume",
            "Resume a frozen sandbox",
            """
            Makes a new sandbox of a space, with every variable, file and process as it was frozen, \
            and answers its sandbox_id. The space stays and can be resumed again. list_sandboxes tells \
            the spaces that there are.\
            """,
            Set.of(),
            List.of(Parameter.text("space_id", "What freeze answered.").needed()),
            SandboxTools::resume),
        new ToolSpec(
            "delete_space",
            "Delete a frozen sandbox",
            """
            Deletes a space, which can't be resumed after that; this can't be undone. Sandboxes that \
            were resumed from it live on. Delete only what you froze, or what the user names.\
            """,
            Set.of(Hint.DESTROYS),
            List.of(Parameter.text("space_id", "What freeze or list_sandboxes answered.").needed()),
            SandboxTools::deleteSpace),
        new ToolSpec(
            "list_templates",
            "List templates",
            """
            Lists the templates that create_sandbox can copy: the built-in ones, and those that the \
            user has built with more packages or files. Each has its name and its state; only those \
            whose state is ready can be used.\
            """,
            Set.of(Hint.READS_ONLY),
            List.of(),
            SandboxTools::listTemplates));
  }

  private static ToolAnswer create(ToolCall call, Mode mode) {
    Arguments arguments = call.arguments();
    Map<String, Object> wanted = new LinkedHashMap<>();
    arguments.text("template").ifPresent(template -> wanted.put("template", template));
    arguments.flag("egress").ifPresent(egress -> wanted.put("egress", egress));
    arguments.flag("persistent").ifPresent(persistent -> wanted.put("persistent", persistent));
    put(wanted, "idle_timeout_seconds", arguments, MOST_SECONDS);
    put(wanted, "cpus", arguments, 64);
    put(wanted, "memory_mb", arguments, 1 << 20);
    put(wanted, "disk_mb", arguments, 1 << 20);
    arguments.flag("auto_install").ifPresent(installs -> wanted.put("auto_install", installs));
    if (mode == Mode.STATELESS) {
      wanted.put("metadata", OwnSandbox.statelessMarks());
    }
    String made = call.calls().create(wanted);
    call.caller().made(made);
    return ToolAnswer.json(Map.of("sandbox_id", made));
  }

  private static void put(Map<String, Object> wanted, String name, Arguments arguments, int most) {
    Optional<Integer> value = arguments.integer(name, 1, most);
    value.ifPresent(number -> wanted.put(name, number));
  }

  private static ToolAnswer list(ToolCall call, Mode mode) {
    boolean all = call.arguments().flag("all").orElse(false);
    List<SandboxCalls.Listed> open = call.calls().sandboxes(MOST_READ);
    Set<String> mine = call.caller().ownOf(open);
    Optional<String> own = call.caller().unnamedIfAny();
    List<Map<String, Object>> sandboxes = new ArrayList<>();
    for (SandboxCalls.Listed sandbox : open.reversed()) {
      if (all || mine.contains(sandbox.id())) {
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("sandbox_id", sandbox.id());
        if (mode == Mode.SESSION) {
          told.put("own", own.equals(Optional.of(sandbox.id())));
        }
        if (all) {
          told.put("of_another", !mine.contains(sandbox.id()));
        }
        told.putAll(
            some(
                sandbox.fields(),
                List.of("state", "template", "egress", "persistent", "parent", "memory_mb")));
        sandboxes.add(told);
      }
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
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("sandboxes", firstOf(sandboxes));
    facts.put("spaces", firstOf(spaces));
    int left =
        sandboxes.size() + spaces.size() - firstOf(sandboxes).size() - firstOf(spaces).size();
    if (left > 0) {
      facts.put("not_listed", left);
    }
    return ToolAnswer.json(facts);
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

  private static ToolAnswer destroy(ToolCall call, Mode mode) {
    boolean named = call.arguments().has("sandbox_id");
    if (mode == Mode.SESSION && !named && call.caller().unnamedIfAny().isEmpty()) {
      return ToolAnswer.text(
          "This conversation has no sandbox yet; the next call gets a fresh one.");
    }
    String sandbox = call.sandbox();
    call.calls().close(sandbox);
    call.caller().gone(sandbox);
    return ToolAnswer.json(Map.of("destroyed", sandbox));
  }

  private static ToolAnswer freeze(ToolCall call) {
    String sandbox = call.sandbox();
    String space = call.calls().freeze(sandbox);
    call.caller().gone(sandbox);
    return ToolAnswer.json(Map.of("space_id", space));
  }

  private static ToolAnswer resume(ToolCall call) {
    String sandbox = call.calls().resume(call.arguments().requiredSpace("space_id"));
    call.caller().made(sandbox);
    return ToolAnswer.json(Map.of("sandbox_id", sandbox));
  }

  private static ToolAnswer deleteSpace(ToolCall call) {
    String space = call.arguments().requiredSpace("space_id");
    call.calls().deleteSpace(space);
    return ToolAnswer.json(Map.of("deleted", space));
  }

  private static ToolAnswer listTemplates(ToolCall call) {
    List<Map<String, Object>> templates =
        call.calls().templates().stream()
            .map(template -> some(template, List.of("name", "state", "base", "stale")))
            .toList();
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("templates", firstOf(templates));
    if (templates.size() > MOST_LISTED) {
      facts.put("not_listed", templates.size() - MOST_LISTED);
    }
    return ToolAnswer.json(facts);
  }
}
