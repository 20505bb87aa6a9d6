package dev.podflare.mcp;

import dev.podflare.mcp.ToolSpec.Hint;
import dev.podflare.mcp.ToolSpec.Parameter;
import java.util.List;
import java.util.Set;

/** Tools that run code. */
final class ExecTools {

  private static final double DEFAULT_TIMEOUT = 300;
  private static final double MOST_TIMEOUT = 24 * 3600;

  private static final Parameter TIMEOUT =
      Parameter.number(
          "timeout_seconds",
          0.1,
          MOST_TIMEOUT,
          "After so long the code is interrupted as by Ctrl-C (default 300). Variables are kept.");

  private ExecTools() {}

  static List<ToolSpec> all(Mode mode) {
    return List.of(
        new ToolSpec(
            "run_python",
            "Run Python",
            """
            Runs Python in an isolated Linux machine whose one Python process stays alive between \
            calls: variables, imports, open files and threads are still there in the next call, so \
            work in small steps and build on them. The value of the last expression comes back as \
            result, as in a notebook, and matplotlib figures (left open, or at plt.show()) come back \
            as images. Installed are pandas, numpy, scipy, scikit-learn, statsmodels, matplotlib, \
            seaborn, sympy, networkx, requests, beautifulsoup4, lxml, openpyxl, pillow and more; \
            `%pip install NAME` adds others. Lines like `!ls` work, and so does top-level await. An \
            uncaught exception gives exit_code 1 with its traceback in stderr and loses no state. \
            input() gets end-of-file. Long output is cut in its middle, and says so: print summaries, \
            and write large data to files under /root.\
            """,
            Set.of(Hint.MEETS_THE_WORLD),
            List.of(
                Parameter.text("code", "Python source; it may be indented as a whole.").needed(),
                mode.sandboxOrNew(),
                TIMEOUT),
            call -> run(call, "python", call.arguments().requiredText("code"))),
        new ToolSpec(
            "run_bash",
            "Run a shell command",
            """
            Runs a command, or a script of many lines, in bash as root in the sandbox, on the same \
            files as run_python: inspect files, use git, compile (gcc, make), run node, jq, ripgrep, \
            sqlite3 or pdftotext, install more (apt-get, pip), start servers. Each call is a fresh bash in /root: cd and exported variables do not last, \
            files and background processes do. Start what shall outlive the call with \
            `nohup COMMAND >/tmp/log 2>&1 &`. exit_code is the command's own. Nothing can be typed \
            into it: use flags such as -y.\
            """,
            Set.of(Hint.MEETS_THE_WORLD),
            List.of(
                Parameter.text("command", "What bash runs.").needed(),
                mode.sandboxOrNew(),
                TIMEOUT),
            call -> run(call, "bash", command(call.arguments()))));
  }

  /** The hosted service's schema is not published; both names are in use. */
  private static String command(Arguments arguments) {
    return arguments.has("command") || !arguments.has("code")
        ? arguments.requiredText("command")
        : arguments.requiredText("code");
  }

  private static ToolAnswer run(ToolCall call, String language, String text) {
    double timeout =
        call.arguments().number("timeout_seconds", 0.1, MOST_TIMEOUT).orElse(DEFAULT_TIMEOUT);
    String sandbox = call.sandboxOrNew();
    Transcript transcript = new Transcript();
    call.running().stoppedBy(() -> call.calls().interrupt(sandbox, transcript.exec()));
    try (var _ = Heartbeat.of(call, transcript)) {
      SandboxCalls.Exit exit =
          call.calls().run(sandbox, new SandboxCalls.Code(language, text, timeout), transcript);
      return transcript.answer(sandbox, exit, call.caller().news());
    }
  }
}
