package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.ServerAddress;
import dev.podflare.cli.text.JsonText;
import dev.podflare.cli.text.Version;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.json.JsonMapper;

/** Prints the settings of programs that use the server. */
@Command(
    name = "env",
    description = {
      "Prints address and key of the server as commands for a shell, for programs and machines that"
          + " do not read the configuration file.",
      "The key is a secret: who has it can use the server."
    },
    footer = {
      "",
      "Examples:",
      "  eval \"$(podflare env)\"",
      "  curl -H \"Authorization: Bearer $PODFLARE_API_KEY\" $PODFLARE_HOSTD_URL/v1/sandboxes"
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class EnvCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    Map<String, String> settings = settings(client.address());
    if (json) {
      spec.commandLine().getOut().println(JsonText.of(JsonMapper.shared().valueToTree(settings)));
    } else {
      settings.forEach((name, value) ->
          spec.commandLine().getOut().println("export " + name + "=" + Code.quoted(value)));
    }
    return 0;
  }

  /** Without a key if none is known: then the server may need none. */
  static Map<String, String> settings(ServerAddress server) {
    Map<String, String> settings = new LinkedHashMap<>();
    settings.put("PODFLARE_HOSTD_URL", server.url());
    if (!server.key().isEmpty()) {
      settings.put("PODFLARE_API_KEY", server.key());
    }
    return settings;
  }
}
