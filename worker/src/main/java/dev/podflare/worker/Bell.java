package dev.podflare.worker;

import java.time.Duration;

/** Wakes the one thread that waits for it. A ring that nobody waits for is kept for the next. */
final class Bell {
  private boolean isRung;

  synchronized void ring() {
    isRung = true;
    notifyAll();
  }

  /** Waits for a ring, but not longer than this; returns whether there was one. */
  synchronized boolean await(Duration time) throws InterruptedException {
    long end = System.nanoTime() + time.toNanos();
    while (!isRung) {
      long left = Duration.ofNanos(end - System.nanoTime()).toMillis();
      if (left <= 0) {
        return false;
      }
      wait(left);
    }
    isRung = false;
    return true;
  }
}
