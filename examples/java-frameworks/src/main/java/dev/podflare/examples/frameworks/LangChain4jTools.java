package dev.podflare.examples.frameworks;

import dev.langchain4j.agent.tool.P;
import dev.langchain4j.agent.tool.Tool;
import dev.podflare.sdk.Sandbox;
import dev.podflare.sdk.tools.SandboxTools;
import java.util.Map;

/**
 * A sandbox as tools of LangChain4j: {@code AiServices.builder(Assistant.class).chatModel(model)
 * .tools(new LangChain4jTools(sandbox)).build()}.
 *
 * <p>A failure is a text that a model can act on, never an exception. One sandbox is one
 * conversation's; any number of threads may use it.
 */
public final class LangChain4jTools {
  private final SandboxTools sandbox;

  /** Tools for a sandbox, which stays the caller's to close. */
  public LangChain4jTools(Sandbox sandbox) {
    this.sandbox = new SandboxTools(sandbox);
  }

  /** Runs Python; what it prints, the value of its last line, and errors are the answer. */
  @Tool(
      name = "run_python",
      value = "Runs Python in a sandbox. Variables, imports and files stay from call to call.")
  public String runPython(@P("the code") String code) {
    return sandbox.answer("run_python", Map.of("code", code)).text();
  }

  /** Runs bash in the same file system. */
  @Tool(name = "run_bash", value = "Runs a bash command in the same sandbox, in /root.")
  public String runBash(@P("the command") String command) {
    return sandbox.answer("run_bash", Map.of("command", command)).text();
  }
}
