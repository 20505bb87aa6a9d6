package dev.podflare.sandbox;

import dev.podflare.engine.MachineShape;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * A sandbox that was frozen to disk.
 *
 * @param sandbox the sandbox that it was
 * @param heldBy the persistent sandbox that sleeps in it and will be waked from it; empty for a
 *     Space that a user made
 * @param family the family of the sandbox that it was
 * @param diskBytes what it occupies on the host's disk by itself
 */
public record SpaceInfo(
    SpaceId id,
    String owner,
    SandboxId sandbox,
    Optional<SandboxId> heldBy,
    SandboxId family,
    int generation,
    String template,
    MachineShape shape,
    Instant createdAt,
    long diskBytes,
    Map<String, String> metadata) {

  public SpaceInfo {
    metadata = Map.copyOf(metadata);
  }
}
