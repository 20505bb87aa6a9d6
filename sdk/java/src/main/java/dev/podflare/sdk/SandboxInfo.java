package dev.podflare.sdk;

import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * What the server knows about a sandbox.
 *
 * @param id its id
 * @param state what it is doing
 * @param template what it was cloned from
 * @param isolation what stands between its kernel and the host: {@code kvm} or {@code emulated}
 * @param createdAt when it was created
 * @param lastUsedAt when its last call ended
 * @param idleTimeout how long after its last call it lives
 * @param maxLifetime how long after its creation it lives at most
 * @param cpus its processors
 * @param memoryMb its memory in megabytes
 * @param diskMb its disk in megabytes
 * @param memoryUsedBytes memory of the host that it alone uses
 * @param cpuTime processor time that it has used
 * @param egress whether it reaches the internet
 * @param persistent whether it is frozen when it is idle
 * @param parent the sandbox that it was forked from
 * @param family the first sandbox of its lineage, which may be itself
 * @param generation how many forks it is away from the first
 * @param metadata your labels
 */
public record SandboxInfo(
    String id,
    SandboxState state,
    String template,
    String isolation,
    Instant createdAt,
    Instant lastUsedAt,
    Duration idleTimeout,
    Optional<Duration> maxLifetime,
    int cpus,
    int memoryMb,
    int diskMb,
    long memoryUsedBytes,
    Duration cpuTime,
    boolean egress,
    boolean persistent,
    Optional<String> parent,
    String family,
    int generation,
    Map<String, String> metadata) {
  static SandboxInfo of(Fields fields) {
    return new SandboxInfo(
        fields.id("id"),
        Words.known(SandboxState.class, fields.text("state"), SandboxState.UNKNOWN),
        fields.text("template"),
        fields.text("isolation"),
        fields.instant("created_at"),
        fields.instant("last_used_at"),
        fields.seconds("idle_timeout_seconds"),
        fields.optionalSeconds("max_lifetime_seconds"),
        fields.count("cpus"),
        fields.count("memory_mb"),
        fields.count("disk_mb"),
        fields.number("memory_used_bytes"),
        Duration.ofMillis(fields.number("cpu_time_ms")),
        fields.egress(),
        fields.truth("persistent", false),
        fields.optionalText("parent"),
        fields.text("family"),
        fields.count("generation"),
        fields.textByName("metadata"));
  }
}
