package dev.podflare.cli.completion;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.text.Version;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Callable;
import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Prints the script by which bash and zsh complete commands, options and names. */
@Command(
    name = "generate-completion",
    description = {
      "Prints the script by which bash and zsh complete commands, options, ids and template names.",
      "Run: source <(podflare generate-completion)"
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the field before call().
public final class CompletionCommand implements Callable<Integer> {

  private static final String NAMES = "names.bash";

  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws CommandFailure {
    String commands = AutoComplete.bash(spec.parent().name(), spec.parent().commandLine());
    spec.commandLine().getOut().print(commands + "\n" + names());
    return 0;
  }

  private static String names() throws CommandFailure {
    try (InputStream script = CompletionCommand.class.getResourceAsStream(NAMES)) {
      if (script == null) {
        throw new IllegalStateException(NAMES + " is missing in this build");
      }
      return new String(script.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new CommandFailure("the script can't be read: " + e.getMessage(), e);
    }
  }
}
