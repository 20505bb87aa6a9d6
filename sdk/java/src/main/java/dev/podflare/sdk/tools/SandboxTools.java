package dev.podflare.sdk.tools;

import dev.podflare.sdk.ExecResult;
import dev.podflare.sdk.Language;
import dev.podflare.sdk.PodflareException;
import dev.podflare.sdk.Sandbox;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Carries the calls of a model's tools out in one sandbox. Use the same one through a conversation,
 * and variables and files stay. Any number of threads may use it; what runs in the sandbox takes
 * turns.
 *
 * <p>What goes wrong, in the code or with the sandbox, is an answer that says what happened, why,
 * and what to try; it is never thrown.
 *
 * {@snippet :
 * import dev.podflare.sdk.*;
 * import dev.podflare.sdk.tools.*;
 * import java.util.Map;
 *
 * try (Sandbox sb = Podflare.create()) {
 *   SandboxTools tools = new SandboxTools(sb);
 *   ToolAnswer answer = tools.answer("run_python", Map.of("code", "6 * 7"));
 *   System.out.println(answer.text());
 * }
 * }
 */
public final class SandboxTools {
  /**
   * Where a bash session keeps itself between two calls: not under the roots that a diff compares.
   */
  private static final String SESSION = "/var/tmp/.podflare-bash";

  /**
   * Bash reads the file that BASH_ENV names before the script, so that the lines of an error are
   * those of the script. What the file does is in an own variable, since nobody else writes it.
   */
  private static final Map<String, String> AS_SESSION =
      Map.of(
          "BASH_ENV",
          "$(mkdir -p @ && printf %s \"$PODFLARE_BASH_SESSION\" >@/session; echo @/session)"
              .replace("@", SESSION),
          "PODFLARE_BASH_SESSION",
          """
          unset BASH_ENV PODFLARE_BASH_SESSION
          if [ -f @/state ]; then . @/state 2>/dev/null; cd "$(cat @/cwd)"; fi
          trap '{ __pf=$?; set +x; } 2>/dev/null; pwd >@/cwd; \
          { declare -p; declare -f; } >@/state 2>/dev/null; exit $__pf' EXIT
          """
              .replace("@", SESSION));

  private static final Map<String, Tool> TOOLS = tools();
  private static final Map<String, Tool> CODE_EXECUTION = codeExecution();

  private final Sandbox sandbox;
  private final ToolLimits limits;

  /** Tools for a sandbox, which stays the caller's to close, with the {@link ToolLimits#usual}. */
  public SandboxTools(Sandbox sandbox) {
    this(sandbox, ToolLimits.usual());
  }

  /** The same with other limits. */
  public SandboxTools(Sandbox sandbox, ToolLimits limits) {
    this.sandbox = sandbox;
    this.limits = limits;
  }

  /** The names of all tools. */
  public static List<String> names() {
    return List.copyOf(TOOLS.keySet());
  }

  /** Whether {@link #answer} has a tool of this name. */
  public static boolean knows(String name) {
    return TOOLS.containsKey(name);
  }

  /**
   * Does what one call asks for. The tools, by name and input:
   *
   * <ul>
   *   <li>{@code run_python} {@code {code}}: Python in the process that stays alive
   *   <li>{@code run_bash} {@code {command}}: bash in a fresh process
   *   <li>{@code bash} {@code {command}} or {@code {restart: true}}: bash whose directory,
   *       variables and functions stay from call to call
   *   <li>{@code str_replace_based_edit_tool} {@code {command: view | create | str_replace |
   *       insert, path, …}}: the sandbox's files
   *   <li>{@code code_execution}, {@code bash_code_execution}, {@code text_editor_code_execution}:
   *       the same with the inputs of the provider's own tools, answered in the form of {@link
   *       #answerCodeExecution}
   * </ul>
   *
   * @param input as the model wrote it: JSON objects as maps, arrays as lists, whole numbers as
   *     {@code Integer} or {@code Long}
   */
  public ToolAnswer answer(String name, Map<String, ? extends @Nullable Object> input) {
    return answer(TOOLS, name, input);
  }

  /**
   * Does what a call of {@code code_execution}, {@code bash_code_execution} or {@code
   * text_editor_code_execution} asks for, and answers exactly as the hosted service's helper does:
   * {@code stdout:\n…\nstderr:\n…\nexit_code: 0}, whole, without pictures, and with these tools'
   * limit of time.
   */
  public ToolAnswer answerCodeExecution(
      String name, Map<String, ? extends @Nullable Object> input) {
    return answer(CODE_EXECUTION, name, input);
  }

  private interface Tool {
    ToolAnswer answer(Sandbox sandbox, Input input, ToolLimits limits) throws Misuse;
  }

  private ToolAnswer answer(
      Map<String, Tool> tools, String name, Map<String, ? extends @Nullable Object> input) {
    try {
      Tool tool = tools.get(name);
      if (tool == null) {
        String known = String.join(", ", tools.keySet());
        throw new Misuse("unknown tool '" + name + "'. The tools here are " + known);
      }
      return tool.answer(sandbox, new Input(input), limits);
    } catch (Misuse wrong) {
      return wrong.answer();
    } catch (PodflareException failed) {
      return Advice.about(failed);
    }
  }

  private static Map<String, Tool> tools() {
    Map<String, Tool> tools = new LinkedHashMap<>();
    tools.put("run_python", SandboxTools::python);
    tools.put("run_bash", SandboxTools::bash);
    tools.put("bash", SandboxTools::session);
    tools.put(
        "str_replace_based_edit_tool",
        (sandbox, input, limits) -> new Editor(sandbox, limits, true).answer(input));
    tools.put("code_execution", SandboxTools::exactPython);
    tools.put("bash_code_execution", SandboxTools::exactBash);
    tools.put("text_editor_code_execution", SandboxTools::plainEditor);
    return Collections.unmodifiableMap(tools);
  }

  private static Map<String, Tool> codeExecution() {
    Map<String, Tool> tools = new LinkedHashMap<>();
    tools.put(
        "code_execution",
        (sandbox, input, limits) ->
            Outcome.exact(run(sandbox, input.text("code"), Language.PYTHON, limits)));
    tools.put(
        "bash_code_execution",
        (sandbox, input, limits) ->
            Outcome.exact(run(sandbox, input.text("command"), Language.BASH, limits)));
    tools.put("text_editor_code_execution", SandboxTools::plainEditor);
    return Collections.unmodifiableMap(tools);
  }

  private static ToolAnswer python(Sandbox sandbox, Input input, ToolLimits limits) throws Misuse {
    ExecResult result = run(sandbox, input.text("code"), Language.PYTHON, limits);
    return Outcome.plain(result, limits.characters());
  }

  private static ToolAnswer bash(Sandbox sandbox, Input input, ToolLimits limits) throws Misuse {
    ExecResult result = run(sandbox, input.text("command"), Language.BASH, limits);
    return Outcome.plain(result, limits.characters());
  }

  /**
   * Each call is a process of its own that takes over what the one before left, so that a call that
   * hangs or dies does not take the session with it.
   */
  private static ToolAnswer session(Sandbox sandbox, Input input, ToolLimits limits) throws Misuse {
    if (input.isTrue("restart")) {
      sandbox.bash("rm -rf " + SESSION);
      return ToolAnswer.told(
          "the shell was restarted: its directory and variables are those of a new one", false);
    }
    ExecResult result = run(sandbox, input.text("command"), Language.BASH, limits, AS_SESSION);
    return Outcome.plain(result, limits.characters());
  }

  private static ToolAnswer exactPython(Sandbox sandbox, Input input, ToolLimits limits)
      throws Misuse {
    ExecResult result = run(sandbox, input.text("code"), Language.PYTHON, limits);
    Pictures pictures = Pictures.of(result);
    List<String> told = new ArrayList<>();
    told.add(Outcome.exactly(result, limits.characters()));
    told.addAll(pictures.notes());
    return ToolAnswer.told(String.join("\n", told), !result.isOk(), pictures.images());
  }

  private static ToolAnswer exactBash(Sandbox sandbox, Input input, ToolLimits limits)
      throws Misuse {
    ExecResult result = run(sandbox, input.text("command"), Language.BASH, limits);
    return ToolAnswer.told(Outcome.exactly(result, limits.characters()), !result.isOk());
  }

  private static ToolAnswer plainEditor(Sandbox sandbox, Input input, ToolLimits limits)
      throws Misuse {
    return new Editor(sandbox, limits, false).answer(input);
  }

  private static ExecResult run(
      Sandbox sandbox, String code, Language language, ToolLimits limits) {
    return run(sandbox, code, language, limits, Map.of());
  }

  private static ExecResult run(
      Sandbox sandbox, String code, Language language, ToolLimits limits, Map<String, String> env) {
    return sandbox.run(
        code,
        options -> {
          options.language(language).env(env);
          if (limits.timeout() != null) {
            options.timeout(limits.timeout());
          }
        });
  }
}
