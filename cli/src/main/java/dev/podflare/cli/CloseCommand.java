package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.Version;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Closes sandboxes. */
@Command(
    name = "close",
    aliases = {"rm", "kill"},
    description = "Closes sandboxes: ends their machines and what they hold.",
    footer = {"", "Examples:", "  podflare close 3f2a9b worker", "  podflare rm --all"},
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class CloseCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(
      paramLabel = "ID",
      arity = "0..*",
      description = "Which ones: names, or ids, which may be cut short.")
  private @Nullable List<String> given;

  @Option(names = "--all", description = "All that are open.")
  private boolean all;

  @Override
  public Integer call() throws CommandFailure {
    List<String> named = given;
    if (all == (named != null)) {
      throw new ParameterException(
          spec.commandLine(), "say which sandboxes: podflare close ID..., or podflare close --all");
    }
    ServerApi api = client.api();
    List<String> meant = new ArrayList<>();
    if (named == null) {
      meant.addAll(Names.ids(api.sandboxes()));
    } else {
      Names names = new Names(api);
      for (String id : named) {
        meant.add(names.sandbox(id));
      }
    }
    for (String id : meant) {
      api.delete("/v1/sandboxes/" + id);
      say("closed " + id);
    }
    if (meant.isEmpty()) {
      say("no sandbox is open");
    }
    return 0;
  }

  private void say(String sentence) {
    spec.commandLine().getErr().println(sentence);
  }
}
