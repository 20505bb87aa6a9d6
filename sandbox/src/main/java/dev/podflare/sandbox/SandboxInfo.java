package dev.podflare.sandbox;

import dev.podflare.engine.Egress;
import dev.podflare.engine.Isolation;
import dev.podflare.engine.MachineShape;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * What is known of a sandbox.
 *
 * @param maxLifetime empty if it has no end of its own
 * @param persistent whether it is frozen instead of closed when it is idle
 * @param family the id of the first sandbox of its family; its own, if it was not forked
 * @param parent what it was forked from
 * @param generation 0 if it was not forked, one more for each fork
 * @param memoryUsedBytes memory that it alone uses on the host; 0 if it has ended
 * @param cpuTime processor time since its start; zero if it has ended
 */
public record SandboxInfo(
    SandboxId id,
    String owner,
    State state,
    String template,
    Isolation isolation,
    Instant createdAt,
    Instant lastUsedAt,
    Duration idleTimeout,
    Optional<Duration> maxLifetime,
    boolean persistent,
    SandboxId family,
    Optional<SandboxId> parent,
    int generation,
    MachineShape shape,
    long memoryUsedBytes,
    Duration cpuTime,
    Egress egress,
    Map<String, String> metadata) {

  /** What a sandbox is doing. */
  public enum State {
    /** It waits for code. */
    READY,
    /** It runs code. */
    RUNNING,
    /** It sleeps on disk; the next call wakes it. */
    FROZEN,
    /** Its microVM died; it can only be closed. */
    LOST
  }

  public SandboxInfo {
    metadata = Map.copyOf(metadata);
  }

  /** What was told of a sandbox when it had just been made. */
  static SandboxInfo whenNew(
      SandboxRecord made, Isolation isolation, int generation, Instant lastUsed) {
    return new SandboxInfo(
        made.id(),
        made.owner(),
        State.READY,
        made.template(),
        isolation,
        made.createdAt(),
        lastUsed,
        made.idleTimeout(),
        made.maxLifetime(),
        made.persistent(),
        made.family(),
        made.parent(),
        generation,
        made.shape(),
        0,
        Duration.ZERO,
        made.egress(),
        made.metadata());
  }
}
