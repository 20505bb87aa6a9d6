package dev.podflare.engine;

import java.time.Duration;

/**
 * What was cut out of a running microVM.
 *
 * @param snapshot of the instant of the cut; valid as long as its directory and the engine are
 *     there, not beyond a crash of the host
 * @param pause how long the microVM stood still
 * @param memoryBytes memory that had to be copied: what the microVM wrote since it was started or
 *     last captured
 */
public record Capture(Snapshot snapshot, Duration pause, long memoryBytes) {}
