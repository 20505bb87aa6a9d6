package dev.podflare.sandbox;

import java.time.Instant;
import java.util.Optional;

/**
 * What is written down of an exec that has not ended.
 *
 * @param startedAt when its code went to the guest; empty if it waits for its turn
 * @param stream the number that it has in its guest
 */
record ExecRecord(
    ExecId id,
    SandboxId sandbox,
    ExecRequest.Language language,
    boolean background,
    String code,
    Instant createdAt,
    Optional<Instant> startedAt,
    Optional<Integer> stream) {}
