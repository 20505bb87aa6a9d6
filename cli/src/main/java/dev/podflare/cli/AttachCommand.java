package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.EventPrinter;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.Version;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Follows an exec that was detached, or whose client is gone. */
@Command(
    name = "attach",
    description = {
      "Prints what an exec has said, and what it says, and ends with its exit code.",
      "Ctrl-C ends this command, not the exec."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class AttachCommand implements Callable<Integer> {

  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(paramLabel = "SANDBOX", description = "Its sandbox; an id may be cut short.")
  private String sandbox;

  @Parameters(paramLabel = "EXEC", description = "Which one; an id may be cut short.")
  private String exec;

  @Option(
      names = "--from",
      paramLabel = "SEQ",
      description = "The number of the first event (default: ${DEFAULT-VALUE}).")
  private long from;

  @Option(names = "--json", description = "Print the events as JSON, one a line.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    Names names = new Names(api);
    String id = names.sandbox(sandbox);
    String path = "/v1/sandboxes/" + id + "/execs/" + names.exec(id, exec) + "/stream?from=" + from;
    return EventPrinter.of(json).print(api.stream(path));
  }
}
