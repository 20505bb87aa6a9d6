package dev.podflare.cli.completion;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.Version;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;

/** Prints what can be named, for the completion script. */
@Command(
    name = "complete",
    hidden = true,
    description = "Prints what can be named, for the completion script.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
public final class NamesCommand implements Callable<Integer> {

  /** What is named. */
  enum Kind {
    SANDBOXES,
    SPACES,
    TEMPLATES;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(paramLabel = "KIND", description = "${COMPLETION-CANDIDATES}")
  private Kind kind;

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    switch (kind) {
      case SANDBOXES -> {
        List<JsonNode> sandboxes = api.sandboxes();
        print(Names.ids(sandboxes));
        print(
            sandboxes.stream()
                .map(sandbox -> sandbox.path("metadata").path(Names.NAME).asString(""))
                .toList());
      }
      case SPACES -> print(Names.ids(api.spaces()));
      case TEMPLATES ->
          print(api.templates().stream().map(one -> one.path("name").asString()).toList());
    }
    return 0;
  }

  /** Only what is one plain word: the shell splits and expands what it is given. */
  private void print(List<String> words) {
    words.stream()
        .filter(word -> word.matches("[A-Za-z0-9_.-]+"))
        .forEach(spec.commandLine().getOut()::println);
  }
}
