package dev.podflare.sdk;

import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * What the server knows about a Space.
 *
 * @param id its id
 * @param sandbox the sandbox that it was
 * @param heldBy the persistent sandbox that sleeps in it; such a one can't be deleted
 * @param family the first sandbox of its lineage
 * @param generation how many forks it was away from the first
 * @param template what it was cloned from
 * @param cpus its processors
 * @param memoryMb its memory in megabytes
 * @param diskMb its disk in megabytes
 * @param diskBytes what it takes on the server's disk
 * @param createdAt when it was frozen
 * @param metadata your labels
 */
public record SpaceInfo(
    String id,
    String sandbox,
    Optional<String> heldBy,
    String family,
    int generation,
    String template,
    int cpus,
    int memoryMb,
    int diskMb,
    long diskBytes,
    Instant createdAt,
    Map<String, String> metadata) {
  static SpaceInfo of(Fields fields) {
    return new SpaceInfo(
        fields.id("id"),
        fields.text("sandbox"),
        fields.optionalText("held_by"),
        fields.text("family"),
        fields.count("generation"),
        fields.text("template"),
        fields.count("cpus"),
        fields.count("memory_mb"),
        fields.count("disk_mb"),
        fields.number("disk_bytes"),
        fields.instant("created_at"),
        fields.textByName("metadata"));
  }
}
