package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Credentials;
import dev.podflare.cli.client.Environment;
import dev.podflare.cli.client.ServerAddress;
import dev.podflare.cli.text.Version;
import dev.podflare.mcp.ServerAccess;
import dev.podflare.mcp.StdioServer;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Serves one MCP client over this process's standard streams. */
@Command(
    name = "mcp",
    description = {
      "Serves the Model Context Protocol over standard input and output, for one client.",
      "It stays when no server answers: its tools then say what to do.",
      "--config prints what a client needs to start it."
    },
    footer = {
      "",
      "Examples:",
      "  podflare mcp --config claude-code",
      "  podflare mcp --config vscode --template python-datasci"
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class McpCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Option(names = "--template", description = "What the client's sandbox is a copy of.")
  private @Nullable String template;

  @Option(names = "--no-egress", description = "The client's sandbox has no way to the outside.")
  private boolean noEgress;

  @Option(
      names = "--config",
      paramLabel = "CLIENT",
      description = "Print what this client needs to start it, and end: ${COMPLETION-CANDIDATES}.")
  private @Nullable McpClient configured;

  @Override
  public Integer call() throws CommandFailure {
    McpClient wanted = configured;
    if (wanted != null) {
      return printConfiguration(wanted);
    }
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

  private int printConfiguration(McpClient wanted) throws CommandFailure {
    ServerAddress server = client.address();
    List<String> arguments = new ArrayList<>(List.of("mcp"));
    String given = template;
    if (given != null) {
      arguments.addAll(List.of("--template", given));
    }
    if (noEgress) {
      arguments.add("--no-egress");
    }
    // What stands in the user's file is found without being told.
    Map<String, String> settings =
        server.isFrom(Credentials.userFile()) ? Map.of() : EnvCommand.settings(server);
    spec.commandLine()
        .getOut()
        .println(
            wanted.configuration(
                Environment.value("PODFLARE_COMMAND", "podflare"), arguments, settings));
    spec.commandLine().getErr().println("podflare: for " + wanted + ": " + wanted.where());
    return 0;
  }
}
