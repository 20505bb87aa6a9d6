package dev.podflare.sandbox;

import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** Does things later: one thread waits, and each thing is done on a virtual thread of its own. */
final class Timer implements AutoCloseable {

  private final ScheduledExecutorService waiting =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofPlatform().daemon().name("podflare-timer").factory());

  /** Something that will be done. Cancelling it after it was done does nothing. */
  interface Appointment {
    void cancel();
  }

  /** May be asked for after {@link #close()}, when nothing is done any more. */
  Appointment after(Duration delay, Runnable task) {
    if (waiting.isShutdown()) {
      return () -> {};
    }
    Future<?> future =
        waiting.schedule(
            () -> Thread.ofVirtual().start(task), delay.toMillis(), TimeUnit.MILLISECONDS);
    return () -> future.cancel(false);
  }

  @Override
  public void close() {
    waiting.shutdownNow();
  }
}
