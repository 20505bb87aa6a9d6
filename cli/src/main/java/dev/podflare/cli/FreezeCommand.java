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

/** Freezes a sandbox into a Space. */
@Command(
    name = "freeze",
    description = {
      "Freezes a sandbox to disk, and prints the Space's id.",
      "The sandbox is closed; resume wakes it again, as often as you like."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class FreezeCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(paramLabel = "ID", description = "The sandbox; an id may be cut short.")
  private String sandbox;

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    String id = new Names(api).sandbox(sandbox);
    JsonNode space = api.post("/v1/sandboxes/" + id + "/freeze", Map.of());
    PrintWriter out = spec.commandLine().getOut();
    out.println(json ? JsonText.of(space) : space.path("space").asString());
    return 0;
  }
}
