package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.ServerAddress;
import dev.podflare.mcp.ServerAccess;
import dev.podflare.mcp.StdioServer;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Serves one MCP client over this process's standard streams. */
@Command(
    name = "mcp",
    description = {
      "Serves the Model Context Protocol over standard input and output, for one client.",
      "It stays when no server answers: its tools then say what to do.",
      "The server is the one of $PODFLARE_HOSTD_URL and $PODFLARE_API_KEY, or else this machine's.",
      "docs/mcp.md has the configuration of the usual clients."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class McpCommand implements Callable<Integer> {

  @Mixin private ClientOptions client = new ClientOptions();

  @Option(names = "--template", description = "What the client's sandbox is a copy of.")
  private @Nullable String template;

  @Option(names = "--no-egress", description = "The client's sandbox has no way to the outside.")
  private boolean noEgress;

  @Override
  public Integer call() throws CommandFailure {
    Map<String, Object> options = new HashMap<>();
    String given = template;
    if (given != null) {
      options.put("template", given);
    }
    if (noEgress) {
      options.put("egress", false);
    }
    try (StdioServer stdio = StdioServer.to(this::server, options, Version.current())) {
      stdio.serve(System.in, System.out);
      return 0;
    } catch (IOException e) {
      throw new CommandFailure("the client's stream can't be read: " + e.getMessage(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CommandFailure("it was interrupted", e);
    }
  }

  /** Looked up at each call: a client shows its user nothing of a program that ends. */
  private ServerAccess.Server server() throws ServerAccess.NoServerException {
    try {
      ServerAddress address = client.address();
      return new ServerAccess.Server(address.url(), address.key());
    } catch (CommandFailure e) {
      throw new ServerAccess.NoServerException(sentence(String.valueOf(e.getMessage())));
    }
  }

  /** A message of the command line, where a sentence is wanted. */
  private static String sentence(String message) {
    return message.isEmpty()
        ? message
        : Character.toUpperCase(message.charAt(0)) + message.substring(1);
  }
}
