package dev.podflare.engine;

import java.time.Duration;

/**
 * What a microVM costs the host.
 *
 * @param privateMemoryBytes memory that nobody else shares, in bytes
 * @param cpuTime processor time used since its start
 * @param diskBytes what its writable disk occupies, in bytes
 */
public record Usage(long privateMemoryBytes, Duration cpuTime, long diskBytes) {}
