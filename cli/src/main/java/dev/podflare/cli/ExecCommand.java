package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.EventPrinter;
import dev.podflare.cli.client.InterruptibleExec;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.Style;
import dev.podflare.cli.text.Version;
import java.math.BigDecimal;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;

/** Runs code from the command line. */
@Command(
    name = "exec",
    description = {
      "Runs code in a sandbox, and ends with its exit code. Without an ID, in a new sandbox that is"
          + " closed afterwards.",
      "CODE is Python, or what -l says; the name of a .py or .sh file runs that file; - or nothing"
          + " reads standard input. Words behind -- are a command with its arguments."
    },
    footer = {
      "",
      "Examples:",
      "  podflare exec 'print(6 * 7)'",
      "  podflare exec ID analysis.py --timeout 60",
      "  podflare exec ID -- ls -la /root",
      "  echo 'print(1)' | podflare exec ID"
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class ExecCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Option(
      names = {"-l", "--language"},
      description = "python or bash (default: python; of a file, by its name).")
  private @Nullable Language language;

  @Option(
      names = "--sandbox",
      paramLabel = "ID",
      description = "The same as the ID in front of the code.")
  private @Nullable String sandbox;

  @Option(names = "--template", description = "The template of a new sandbox.")
  private String template = "default";

  @Option(names = "--no-egress", description = "A new sandbox without a way to the outside.")
  private boolean noEgress;

  @Option(names = "--memory", paramLabel = "MIB", description = "Memory of a new sandbox in MiB.")
  private @Nullable Integer memory;

  @Option(
      names = "--timeout",
      paramLabel = "SECONDS",
      description = "Interrupt the code after so long.")
  private @Nullable BigDecimal timeout;

  @Option(names = "--cwd", paramLabel = "DIR", description = "Where it runs (default: /root).")
  private @Nullable String cwd;

  @Option(
      names = {"-e", "--env"},
      paramLabel = "NAME=VALUE",
      description = "An environment variable of this code.")
  private Map<String, String> env = new HashMap<>();

  @Option(
      names = "--detach",
      description = "Print the exec's id, and let the code run; needs an ID.")
  private boolean detach;

  @Option(
      names = "--background",
      description = "The same for bash that runs beside all others, not in its turn.")
  private boolean background;

  @Option(names = "--json", description = "Print the events as JSON, one a line.")
  private boolean json;

  @Parameters(
      paramLabel = "[ID] CODE",
      arity = "0..*",
      hideParamSyntax = true,
      description = "A sandbox, by its name or id, which may be cut short; and the code.")
  private List<String> words = List.of();

  @Override
  public Integer call() throws CommandFailure {
    Code code = Code.of(spec, words, language, Optional.ofNullable(sandbox));
    Optional<String> given = code.sandbox();
    boolean isLeft = detach || background;
    if (isLeft && given.isEmpty()) {
      throw new ParameterException(
          spec.commandLine(), "--detach and --background need a sandbox that stays: exec ID CODE");
    }
    Map<String, Object> body = body(code);
    ServerApi api = client.api();
    if (given.isPresent()) {
      String id = new Names(api).sandbox(given.get());
      return isLeft ? detach(api, id, body) : run(api, id, body);
    }
    Map<String, Object> wanted = new HashMap<>();
    wanted.put("template", template);
    wanted.put("egress", !noEgress);
    wanted.put("memory_mb", memory);
    String id = api.post("/v1/sandboxes", wanted).path("id").asString();
    try {
      return run(api, id, body);
    } finally {
      api.delete("/v1/sandboxes/" + id);
    }
  }

  private int run(ServerApi api, String id, Map<String, Object> body) throws CommandFailure {
    BigDecimal limit = timeout;
    EventPrinter printer =
        limit == null
            ? EventPrinter.of(json)
            : EventPrinter.of(json, "after " + limit.toPlainString() + " s (--timeout)");
    ServerApi.StartedExec exec = api.exec(id, body);
    // This one, also while it waits: what runs in the sandbox meanwhile may be another's.
    try (var _ = InterruptibleExec.of(api, id, exec.id())) {
      return printer.print(exec.events());
    }
  }

  private int detach(ServerApi api, String id, Map<String, Object> body) throws CommandFailure {
    body.put(background ? "background" : "detach", true);
    JsonNode answer = api.post("/v1/sandboxes/" + id + "/exec", body);
    String exec = answer.path("exec").asString();
    spec.commandLine().getOut().println(json ? answer.toString() : exec);
    if (Style.isTerminal(1)) {
      spec.commandLine().getErr().println("follow it with: podflare logs -f " + id + " " + exec);
    }
    return 0;
  }

  private Map<String, Object> body(Code code) {
    Map<String, Object> body = new HashMap<>();
    body.put("language", code.language().toString());
    body.put("code", code.text());
    if (timeout != null) {
      body.put("timeout_seconds", timeout);
    }
    if (cwd != null) {
      body.put("cwd", cwd);
    }
    if (!env.isEmpty()) {
      body.put("env", env);
    }
    return body;
  }
}
