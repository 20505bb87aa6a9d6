package dev.podflare.cli.repl;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.EventPrinter;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.NewSandbox;
import dev.podflare.cli.client.ProcessSignal;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.Version;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** A sandbox's Python, which stays alive between calls, at the prompt. */
@Command(
    name = "repl",
    description = {
      "Opens a prompt on a sandbox's living Python: the process of exec and run_code, with its"
          + " variables. Without an ID, of a new sandbox that is closed afterwards.",
      "A block ends with an empty line. Lines that begin with ! run in bash. Ctrl-C interrupts the"
          + " code, Ctrl-D leaves."
    },
    footer = {"", "Examples:", "  podflare repl", "  podflare repl worker"},
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
public final class ReplCommand implements Callable<Integer> {

  private static final Set<String> LEAVING = Set.of("exit", "exit()", "quit", "quit()");

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(
      paramLabel = "ID",
      arity = "0..1",
      description = "A sandbox: its name, or id, cut short or not.")
  private @Nullable String sandbox;

  @ArgGroup(exclusive = false, heading = "%nOf a new sandbox:%n")
  private NewSandbox wanted = new NewSandbox();

  @Option(
      names = {"-e", "--env"},
      paramLabel = "NAME=VALUE",
      description = "An environment variable of a new sandbox.")
  private Map<String, String> env = new HashMap<>();

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    String given = sandbox;
    if (given != null) {
      return talk(api, new Names(api).sandbox(given));
    }
    String id = api.post("/v1/sandboxes", wanted.request(env)).path("id").asString();
    try {
      return talk(api, id);
    } finally {
      api.delete("/v1/sandboxes/" + id);
    }
  }

  private int talk(ServerApi api, String id) throws CommandFailure {
    Prompt prompt = Prompt.open();
    PrintWriter error = spec.commandLine().getErr();
    if (prompt.isByHand()) {
      error.println("podflare: Python of " + id + "; Ctrl-D leaves it");
    }
    int exitCode = 0;
    Statement statement = new Statement();
    while (true) {
      String line;
      try {
        line = prompt.line(statement.isEmpty() ? ">>> " : "... ");
      } catch (Prompt.GivenUpException e) {
        statement = new Statement();
        continue;
      } catch (IOException e) {
        throw new CommandFailure("standard input can't be read: " + e.getMessage(), e);
      }
      if (line == null) {
        break;
      }
      if (statement.isEmpty() && LEAVING.contains(line.strip())) {
        return 0;
      }
      if (statement.add(line)) {
        exitCode = run(api, id, statement.text());
        if (exitCode != 0 && !prompt.isByHand()) {
          return exitCode;
        }
        statement = new Statement();
      }
    }
    if (!statement.isEmpty()) {
      exitCode = run(api, id, statement.text());
    }
    if (prompt.isByHand()) {
      error.println();
      return 0;
    }
    return exitCode;
  }

  /** While it runs, Ctrl-C is its own; at the prompt, it is the line editor's. */
  private int run(ServerApi api, String id, String code) throws CommandFailure {
    ServerApi.StartedExec exec = api.exec(id, Map.of("code", code));
    String call = "/v1/sandboxes/" + id + "/execs/" + exec.id() + "/interrupt";
    try (var _ = ProcessSignal.handling("INT", () -> interrupt(api, call))) {
      return EventPrinter.of(false).print(exec.events());
    }
  }

  private void interrupt(ServerApi api, String call) {
    try {
      var _ = api.post(call, Map.of());
    } catch (CommandFailure failure) {
      spec.commandLine().getErr().println("podflare: the code runs on: " + failure.getMessage());
    }
  }
}
