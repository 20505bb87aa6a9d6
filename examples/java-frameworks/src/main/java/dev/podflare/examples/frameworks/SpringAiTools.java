package dev.podflare.examples.frameworks;

import dev.podflare.sdk.Sandbox;
import dev.podflare.sdk.tools.SandboxTools;
import java.util.Map;
import org.springframework.ai.tool.annotation.Tool;
import org.springframework.ai.tool.annotation.ToolParam;

/**
 * A sandbox as tools of Spring AI: {@code chatClient.prompt(question).tools(new
 * SpringAiTools(sandbox)).call().content()}.
 *
 * <p>A failure is a text that a model can act on, never an exception. One sandbox is one
 * conversation's; any number of threads may use it.
 */
public final class SpringAiTools {
  private final SandboxTools sandbox;

  /** Tools for a sandbox, which stays the caller's to close. */
  public SpringAiTools(Sandbox sandbox) {
    this.sandbox = new SandboxTools(sandbox);
  }

  /** Runs Python; what it prints, the value of its last line, and errors are the answer. */
  @Tool(
      name = "run_python",
      description =
          "Runs Python in a sandbox. Variables, imports and files stay from call to call.")
  public String runPython(@ToolParam(description = "the code") String code) {
    return sandbox.answer("run_python", Map.of("code", code)).text();
  }

  /** Runs bash in the same file system. */
  @Tool(name = "run_bash", description = "Runs a bash command in the same sandbox, in /root.")
  public String runBash(@ToolParam(description = "the command") String command) {
    return sandbox.answer("run_bash", Map.of("command", command)).text();
  }
}
