package dev.podflare.sandbox;

import dev.podflare.engine.Egress;
import dev.podflare.engine.MachineShape;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * What is fixed about a sandbox from its creation on, and kept in the {@link Registry}.
 *
 * @param family the first sandbox of its family; itself, if it was not forked
 * @param parent what it was forked from, or resumed
 */
record SandboxRecord(
    SandboxId id,
    String owner,
    String template,
    MachineShape shape,
    Egress egress,
    Duration idleTimeout,
    Optional<Duration> maxLifetime,
    boolean persistent,
    SandboxId family,
    Optional<SandboxId> parent,
    Map<String, String> metadata,
    Instant createdAt) {

  SandboxRecord {
    metadata = Map.copyOf(metadata);
  }

  /** The record of a copy of this sandbox's machine, which is like it in all that it was given. */
  SandboxRecord descendant(SandboxId id, Instant createdAt) {
    return new SandboxRecord(
        id,
        owner,
        template,
        shape,
        egress,
        idleTimeout,
        maxLifetime,
        persistent,
        family,
        Optional.of(this.id),
        metadata,
        createdAt);
  }
}
