package dev.podflare.sandbox;

import dev.podflare.engine.Egress;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/**
 * What a new sandbox shall be. Empty fields take the host's defaults.
 *
 * @param owner an opaque mark of who made it, kept with it
 * @param template the name of the template it is cloned from
 * @param egress what its network reaches
 * @param persistent whether it is frozen to disk instead of closed when it is idle
 * @param idleTimeout how long after its last call it is closed
 * @param maxLifetime how long after its creation it is closed whatever happens
 * @param cpus virtual processors
 * @param memoryMiB memory in MiB
 * @param diskMiB writable disk in MiB
 * @param env environment variables of its processes
 * @param metadata marks of the user's own, by which sandboxes can be listed
 */
public record CreateSandbox(
    String owner,
    String template,
    Egress egress,
    boolean persistent,
    Optional<Duration> idleTimeout,
    Optional<Duration> maxLifetime,
    Optional<Integer> cpus,
    Optional<Integer> memoryMiB,
    Optional<Integer> diskMiB,
    Map<String, String> env,
    Map<String, String> metadata) {

  /** The template of a request that names none. */
  public static final String DEFAULT_TEMPLATE = "default";

  public CreateSandbox {
    env = Map.copyOf(env);
    metadata = Map.copyOf(metadata);
  }
}
