package dev.podflare.worker;

import java.time.Duration;
import java.util.Optional;
import java.util.random.RandomGenerator;

/**
 * How long to wait before the next attempt: twice as long each time up to a limit, and a random
 * part of that, so that many workers do not come back at the same instant. Not for several threads.
 */
final class Backoff {
  /** The longest that a Retry-After is obeyed. */
  static final Duration LONGEST_ASKED = Duration.ofMinutes(5);

  private static final int MOST_DOUBLINGS = 20;

  private final Duration first;
  private final Duration longest;
  private final RandomGenerator random;
  private int attempts;

  Backoff(Duration first, Duration longest, RandomGenerator random) {
    this.first = first;
    this.longest = longest;
    this.random = random;
  }

  /** Begins again with short waits. */
  void reset() {
    attempts = 0;
  }

  /** Between half of the present wait and all of it; never less than what the other side asks. */
  Duration next(Optional<Duration> asked) {
    long doubled = first.toNanos() << Math.min(attempts, MOST_DOUBLINGS);
    attempts++;
    long whole = Math.min(doubled, longest.toNanos());
    Duration wait = Duration.ofNanos(whole / 2 + random.nextLong(whole / 2 + 1));
    Duration least =
        asked
            .map(time -> time.compareTo(LONGEST_ASKED) > 0 ? LONGEST_ASKED : time)
            .orElse(Duration.ZERO);
    return wait.compareTo(least) > 0 ? wait : least;
  }
}
