package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.JsonText;
import dev.podflare.cli.text.Version;
import java.io.PrintWriter;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;

/** Forks a sandbox. */
@Command(
    name = "fork",
    description = {
      "Makes live copies of a sandbox, and prints their ids.",
      "Variables, files, processes and threads are in each of them as in the parent, which goes on."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class ForkCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(paramLabel = "ID", description = "The parent; an id may be cut short.")
  private String parent;

  @Option(
      names = "-n",
      paramLabel = "N",
      description = "How many, 1 to 100 (default: ${DEFAULT-VALUE}).")
  private int n = 1;

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    String id = new Names(api).sandbox(parent);
    JsonNode fork = api.post("/v1/sandboxes/" + id + "/fork", Map.of("n", n));
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(JsonText.of(fork));
      return 0;
    }
    fork.path("children").forEach(child -> out.println(child.asString()));
    // Beside the ids, so that a shell can take those.
    spec.commandLine()
        .getErr()
        .printf(
            "%d running after %.1f ms; the parent stood still for %.1f ms.%n",
            fork.path("children").size(),
            fork.path("running_ms").asDouble(),
            fork.path("pause_ms").asDouble());
    return 0;
  }
}
