package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.ServerAddress;
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
      "The server is the one of $PODFLARE_HOSTD_URL and $PODFLARE_API_KEY, or else this machine's.",
      "docs/mcp.md has the configuration of the usual clients."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class McpCommand implements Callable<Integer> {

  @Mixin private ClientOptions client = new ClientOptions();

  @Option(names = "--template", description = "What the client's own sandbox is a copy of.")
  private @Nullable String template;

  @Option(
      names = "--no-egress",
      description = "The client's own sandbox has no way to the outside.")
  private boolean noEgress;

  @Override
  public Integer call() throws CommandFailure {
    ServerAddress server = client.address();
    Map<String, Object> wish = new HashMap<>();
    String given = template;
    if (given != null) {
      wish.put("template", given);
    }
    if (noEgress) {
      wish.put("egress", false);
    }
    try (StdioServer stdio = StdioServer.to(server.url(), server.key(), wish, Version.current())) {
      stdio.serve(System.in, System.out);
      return 0;
    } catch (IOException e) {
      throw new CommandFailure("the client's stream can't be read: " + e.getMessage(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CommandFailure("it was interrupted", e);
    }
  }
}
