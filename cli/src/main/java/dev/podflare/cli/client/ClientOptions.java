package dev.podflare.cli.client;

import dev.podflare.cli.text.Style;
import java.nio.file.Path;
import java.time.Duration;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Which server a command asks, how long it waits, and how it writes: the same on every command. */
@SuppressWarnings({"NullAway.Init", "DoNotCallSuggester"}) // picocli sets and calls what is here.
public final class ClientOptions {

  private static final double DEFAULT_TIMEOUT = 120;
  private static final double MAX_TIMEOUT = Duration.ofDays(7).toSeconds();

  @Spec(Spec.Target.MIXEE)
  private CommandSpec spec;

  @Option(
      names = ServerAddress.URL_OPTION,
      paramLabel = "URL",
      description =
          "The server to ask (default: $PODFLARE_HOSTD_URL, or the one of"
              + " ~/.config/podflare/config.json).")
  private @Nullable String server;

  @Option(
      names = ServerAddress.KEY_OPTION,
      paramLabel = "FILE",
      description =
          "A file with the API key (default: $PODFLARE_API_KEY, or the key of config.json for the"
              + " server that wrote it).")
  private @Nullable Path keyFile;

  @Option(
      names = "--server-timeout",
      paramLabel = "SECONDS",
      description =
          "How long to wait for the server's answer (default: $PODFLARE_TIMEOUT, or 120).")
  private @Nullable Double timeout;

  @Option(
      names = "--color",
      paramLabel = "WHEN",
      description = "auto, always or never (default: auto: on a terminal, unless NO_COLOR is set).")
  private Style.When color = Style.When.AUTO;

  @Option(names = "--addr", hidden = true, paramLabel = "HOST:PORT")
  void refuseAddress(String given) {
    throw misplaced("--addr " + given, "--server http://" + given);
  }

  @Option(names = "--data-dir", hidden = true, paramLabel = "DIR")
  void refuseDataDirectory(String given) {
    throw misplaced("--data-dir " + given, "--server URL");
  }

  private ParameterException misplaced(String option, String instead) {
    return new ParameterException(
        spec.commandLine(),
        option + " is an option of up and down; to name the server that is asked, use " + instead);
  }

  /** The server that is meant. */
  public ServerAddress address() throws CommandFailure {
    return ServerAddress.require(server, keyFile, System.getenv(), Credentials.userFile());
  }

  /** The API of the server that is meant. */
  public ServerApi api() throws CommandFailure {
    return new ServerApi(address(), timeout());
  }

  private Duration timeout() throws CommandFailure {
    Double given = timeout;
    if (given != null) {
      return seconds(given, "--server-timeout");
    }
    String set = Environment.value("PODFLARE_TIMEOUT", "");
    if (set.isEmpty()) {
      return seconds(DEFAULT_TIMEOUT, "");
    }
    try {
      return seconds(Double.parseDouble(set), "PODFLARE_TIMEOUT");
    } catch (NumberFormatException e) {
      throw new CommandFailure("PODFLARE_TIMEOUT must be a number of seconds, but is " + set, e);
    }
  }

  private static Duration seconds(double given, String source) throws CommandFailure {
    if (!(given >= 0.001 && given <= MAX_TIMEOUT)) {
      throw new CommandFailure(source + " must be from 0.001 to 604800 seconds, but is " + given);
    }
    return Duration.ofMillis(Math.round(given * 1000));
  }

  /** How standard output is written. */
  public Style style() {
    return Style.ofStandardOutput(color);
  }
}
