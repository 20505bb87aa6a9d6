package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.NewSandbox;
import dev.podflare.cli.text.JsonText;
import dev.podflare.cli.text.Version;
import java.io.PrintWriter;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;

/** Makes a sandbox that stays. */
@Command(
    name = "create",
    description = {
      "Makes a sandbox, and prints its id.",
      "It stays open until it is closed, or has been idle for long enough."
    },
    footer = {
      "",
      "Examples:",
      "  ID=$(podflare create)",
      "  podflare create --name worker --memory 2048 --env STAGE=test",
      "  podflare create --persistent --idle-timeout 60   # freezes when idle, wakes when used"
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class CreateCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Mixin private NewSandbox wanted = new NewSandbox();

  @Option(names = "--env", paramLabel = "NAME=VALUE", description = "An environment variable.")
  private Map<String, String> env = new HashMap<>();

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    JsonNode made = client.api().post("/v1/sandboxes", wanted.request(env));
    PrintWriter out = spec.commandLine().getOut();
    out.println(json ? JsonText.of(made) : made.path("id").asString());
    return 0;
  }
}
