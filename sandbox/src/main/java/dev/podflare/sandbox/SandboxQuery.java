package dev.podflare.sandbox;

import java.util.Map;
import java.util.Optional;

/**
 * Which sandboxes to list.
 *
 * @param owner only those of this owner
 * @param template only those of this template, if named
 * @param state only those in this state, if named
 * @param metadata only those that have all of these marks
 * @param after only those after this one in the list, if named
 * @param limit how many at most, 1 to 1000
 */
public record SandboxQuery(
    String owner,
    Optional<String> template,
    Optional<SandboxInfo.State> state,
    Map<String, String> metadata,
    Optional<SandboxId> after,
    int limit) {

  public SandboxQuery {
    if (limit < 1 || limit > 1000) {
      throw new IllegalArgumentException("limit must be from 1 to 1000, but is " + limit);
    }
    metadata = Map.copyOf(metadata);
  }
}
