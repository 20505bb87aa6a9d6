package dev.podflare.guest;

import java.time.Duration;

/** A point on the monotonic clock until which a wait may last. */
final class Deadline {

  /** So far away that adding it to the clock can't overflow the difference of two readings. */
  private static final long LONGEST_NANOS = Long.MAX_VALUE / 2;

  private final long nanoTime;

  private Deadline(long nanoTime) {
    this.nanoTime = nanoTime;
  }

  /** The point that lies so far ahead of now. */
  static Deadline in(Duration wait) {
    long nanos;
    try {
      nanos = wait.toNanos();
    } catch (ArithmeticException tooLong) {
      nanos = wait.isNegative() ? 0 : LONGEST_NANOS;
    }
    return new Deadline(System.nanoTime() + Math.clamp(nanos, 0, LONGEST_NANOS));
  }

  /** A point that nobody lives to see. */
  static Deadline never() {
    return new Deadline(System.nanoTime() + LONGEST_NANOS);
  }

  /** Nanoseconds that are left; not positive when it has passed. */
  long remainingNanos() {
    return nanoTime - System.nanoTime();
  }
}
