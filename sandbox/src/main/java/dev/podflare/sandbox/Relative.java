package dev.podflare.sandbox;

import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * One member of a family, closed or not.
 *
 * @param parent what it was forked from; empty for the first of a family
 * @param generation 0 for the first, one more for each fork
 * @param end why it is no more: {@code closed}, {@code idle_timeout}, {@code merged}, {@code
 *     frozen}, …; empty while it is open
 */
public record Relative(
    SandboxId id,
    Optional<SandboxId> parent,
    int generation,
    Instant createdAt,
    Optional<Instant> closedAt,
    Optional<String> end,
    Map<String, String> metadata) {

  public Relative {
    metadata = Map.copyOf(metadata);
  }
}
