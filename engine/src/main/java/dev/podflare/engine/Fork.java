package dev.podflare.engine;

import java.time.Duration;
import java.util.List;

/**
 * Live copies of a microVM, all of one instant.
 *
 * @param children the copies, which run
 * @param pause how long the parent stood still; zero if it was paused anyway
 * @param cutNanos the end of that instant, by {@link System#nanoTime}
 * @param runningSinceNanos when each copy ran, in their order: the clock of its guest has stood
 *     still from the instant until shortly before then
 */
public record Fork(
    List<MicroVm> children, Duration pause, long cutNanos, List<Long> runningSinceNanos) {

  public Fork {
    children = List.copyOf(children);
    runningSinceNanos = List.copyOf(runningSinceNanos);
  }
}
