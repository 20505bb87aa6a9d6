package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** Closes sandboxes. */
@Command(
    name = "close",
    description = "Closes sandboxes: ends their machines and what they hold.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class CloseCommand implements Callable<Integer> {

  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(paramLabel = "ID", arity = "1..*", description = "Which ones; ids may be cut short.")
  private List<String> given;

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    Names names = new Names(api);
    List<String> meant = new ArrayList<>();
    for (String id : given) {
      meant.add(names.sandbox(id));
    }
    for (String id : meant) {
      api.delete("/v1/sandboxes/" + id);
    }
    return 0;
  }
}
