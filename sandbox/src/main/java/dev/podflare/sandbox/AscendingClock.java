package dev.podflare.sandbox;

import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.temporal.ChronoUnit;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Tells whole milliseconds, as the registry keeps them, and none of them twice: what was made later
 * has the later moment, so lists by age have one order, and a page of them begins where the one
 * before ended. Many calls within a millisecond are told the milliseconds that come.
 *
 * <p>A clock that is set back by more than {@link #MOST_AHEAD} is followed: moments that lie in the
 * future would make lifetimes longer.
 */
final class AscendingClock implements InstantSource {

  static final Duration MOST_AHEAD = Duration.ofSeconds(1);

  private final InstantSource clock;
  private final AtomicReference<Instant> last = new AtomicReference<>(Instant.MIN);

  AscendingClock(InstantSource clock) {
    this.clock = clock;
  }

  @Override
  public Instant instant() {
    Instant now = clock.instant().truncatedTo(ChronoUnit.MILLIS);
    return last.updateAndGet(before ->
        now.isAfter(before) || now.plus(MOST_AHEAD).isBefore(before) ? now : before.plusMillis(1));
  }
}
