package dev.podflare.worker;

/** Time that only goes forward, so that a step of the clock ends no lease. */
@FunctionalInterface
interface Ticker {
  /** Nanoseconds since some instant. */
  long nanos();
}
