package dev.podflare.sdk;

import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * One sandbox of a family, alive or not.
 *
 * @param id its id
 * @param parent the sandbox that it was forked from
 * @param generation how many forks it is away from the first
 * @param createdAt when it was created
 * @param closedAt when it ended
 * @param end why it ended, such as {@code closed}, {@code merged} or {@code idle_timeout}
 * @param metadata your labels
 */
public record Relative(
    String id,
    Optional<String> parent,
    int generation,
    Instant createdAt,
    Optional<Instant> closedAt,
    Optional<String> end,
    Map<String, String> metadata) {
  static Relative of(Fields fields) {
    return new Relative(
        fields.id("id"),
        fields.optionalText("parent"),
        fields.count("generation"),
        fields.instant("created_at"),
        fields.optionalInstant("closed_at"),
        fields.optionalText("end"),
        fields.textByName("metadata"));
  }
}
