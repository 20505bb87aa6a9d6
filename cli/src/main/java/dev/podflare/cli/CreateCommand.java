package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.text.JsonText;
import java.io.PrintWriter;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;

/** Makes a sandbox that stays. */
@Command(
    name = "create",
    description = {
      "Makes a sandbox, and prints its id.",
      "It stays open until it is closed, or has been idle for long enough."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class CreateCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Option(names = "--template", description = "What it is a copy of (default: ${DEFAULT-VALUE}).")
  private String template = "default";

  @Option(names = "--no-egress", description = "Without a way to the outside.")
  private boolean noEgress;

  @Option(
      names = "--persistent",
      description = "Freeze it when it is idle, in place of closing it.")
  private boolean persistent;

  @Option(
      names = "--idle-timeout",
      paramLabel = "SECONDS",
      description = "How long it may be idle (default: the server's, 300).")
  private @Nullable Double idleTimeout;

  @Option(
      names = "--max-lifetime",
      paramLabel = "SECONDS",
      description = "When it is closed, whatever happens (default: never).")
  private @Nullable Double maxLifetime;

  @Option(names = "--cpus", description = "Virtual processors.")
  private @Nullable Integer cpus;

  @Option(names = "--memory", paramLabel = "MIB", description = "Memory in MiB.")
  private @Nullable Integer memory;

  @Option(names = "--disk", paramLabel = "MIB", description = "Writable disk in MiB.")
  private @Nullable Integer disk;

  @Option(names = "--env", paramLabel = "NAME=VALUE", description = "An environment variable.")
  private Map<String, String> env = new HashMap<>();

  @Option(names = "--metadata", paramLabel = "NAME=VALUE", description = "A mark of your own.")
  private Map<String, String> metadata = new HashMap<>();

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    Map<String, Object> wanted = new HashMap<>();
    wanted.put("template", template);
    wanted.put("egress", !noEgress);
    wanted.put("persistent", persistent);
    wanted.put("idle_timeout_seconds", idleTimeout);
    wanted.put("max_lifetime_seconds", maxLifetime);
    wanted.put("cpus", cpus);
    wanted.put("memory_mb", memory);
    wanted.put("disk_mb", disk);
    wanted.put("env", env);
    wanted.put("metadata", metadata);
    JsonNode made = client.api().post("/v1/sandboxes", wanted);
    PrintWriter out = spec.commandLine().getOut();
    out.println(json ? JsonText.of(made) : made.path("id").asString());
    return 0;
  }
}
