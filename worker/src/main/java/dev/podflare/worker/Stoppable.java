package dev.podflare.worker;

import org.jspecify.annotations.Nullable;

/** A stretch of one thread's work that others may interrupt: that stretch, and nothing else. */
final class Stoppable {
  private @Nullable Thread thread;
  private boolean isStopped;

  /** Begins it, in this thread. It is interrupted at once if it was stopped before. */
  synchronized void begin() {
    thread = Thread.currentThread();
    if (isStopped) {
      thread.interrupt();
    }
  }

  /** Ends it; an interrupt that came too late is forgotten. */
  synchronized void end() {
    thread = null;
    if (isStopped) {
      boolean _ = Thread.interrupted();
    }
  }

  /** Stops it for good, from any thread. */
  synchronized void stop() {
    isStopped = true;
    if (thread != null) {
      thread.interrupt();
    }
  }

  synchronized boolean isStopped() {
    return isStopped;
  }
}
