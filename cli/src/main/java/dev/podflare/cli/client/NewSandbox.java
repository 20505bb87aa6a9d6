package dev.podflare.cli.client;

import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** The options of a sandbox that a command creates. */
public final class NewSandbox {

  @Option(names = "--template", description = "What it is a copy of (default: ${DEFAULT-VALUE}).")
  private String template = "default";

  @Option(
      names = "--name",
      description = "A name to call it by, in place of its id. Kept as the metadata `name`.")
  private @Nullable String name;

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

  @Option(names = "--metadata", paramLabel = "NAME=VALUE", description = "A mark of your own.")
  private Map<String, String> metadata = new HashMap<>();

  /** The body of the call that creates it. */
  public Map<String, Object> request(Map<String, String> env) {
    Map<String, String> marks = new HashMap<>(metadata);
    String given = name;
    if (given != null) {
      marks.put(Names.NAME, given);
    }
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
    wanted.put("metadata", marks);
    return wanted;
  }
}
