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

/** Wakes a sandbox from a Space. */
@Command(
    name = "resume",
    description = {
      "Wakes a new sandbox from a Space, and prints the sandbox's id.",
      "The Space stays, and can be resumed again."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class ResumeCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(paramLabel = "SPACE", description = "The Space; an id may be cut short.")
  private String space;

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    String id = new Names(api).space(space);
    JsonNode resumed = api.post("/v1/spaces/" + id + "/resume", Map.of());
    PrintWriter out = spec.commandLine().getOut();
    out.println(json ? JsonText.of(resumed) : resumed.path("id").asString());
    return 0;
  }
}
