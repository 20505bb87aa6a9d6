package dev.podflare.sandbox;

import dev.podflare.engine.MicroVm;
import dev.podflare.engine.MicroVmId;
import dev.podflare.engine.Usage;
import java.time.Duration;
import java.time.Instant;

/**
 * The usage of a microVM at a point in time.
 *
 * @param at when it was asked for
 */
record Measurement(MicroVmId of, Usage usage, Instant at) {

  /** How long one is reported again, as long as nobody uses the sandbox. */
  private static final Duration STANDS = Duration.ofSeconds(1);

  /** Whether it still says what a sandbox uses that drives this machine now. */
  boolean stands(MicroVm driven, Instant lastUsed, Instant now) {
    return of.equals(driven.id()) && lastUsed.isBefore(at) && now.isBefore(at.plus(STANDS));
  }
}
