package dev.podflare.mcp;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** One request of a client, from its coming to its answer, and its cancellation between the two. */
final class RunningCall {

  /**
   * How often a call is told to stop. What it asked of the server may not have begun there when it
   * is told first, and then there is nothing yet that could be stopped.
   */
  private static final int MOST_STOPS = 5;

  private static final Duration BETWEEN_STOPS = Duration.ofMillis(400);

  private final Caller caller;
  private final Object id;
  private final CountDownLatch ended = new CountDownLatch(1);
  private @Nullable Runnable stop;
  private boolean cancelled;

  RunningCall(Caller caller, Object id) {
    this.caller = caller;
    this.id = id;
  }

  /** Who made it. */
  Caller caller() {
    return caller;
  }

  Object id() {
    return id;
  }

  /** Nobody waits for its answer any more. */
  synchronized boolean isCancelled() {
    return cancelled;
  }

  /**
   * From now on, this is how it can be stopped. It is stopped at once if it was cancelled before.
   */
  void stoppedBy(Runnable stop) {
    synchronized (this) {
      this.stop = stop;
      if (!cancelled) {
        return;
      }
    }
    stopUntilEnded(stop);
  }

  /** Stops it if it can be stopped; in any case it is not answered. */
  void cancel() {
    Runnable how;
    synchronized (this) {
      if (cancelled) {
        return;
      }
      cancelled = true;
      how = stop;
    }
    if (how != null) {
      stopUntilEnded(how);
    }
  }

  void end() {
    ended.countDown();
  }

  /** Waits for its end; says whether it came in time. */
  boolean awaitEnd(Duration limit) throws InterruptedException {
    return ended.await(limit.toMillis(), TimeUnit.MILLISECONDS);
  }

  private void stopUntilEnded(Runnable how) {
    Thread.ofVirtual()
        .name("mcp-cancel")
        .start(() -> {
          try {
            for (int i = 0; i < MOST_STOPS && ended.getCount() > 0; i++) {
              how.run();
              if (awaitEnd(BETWEEN_STOPS)) {
                return;
              }
            }
          } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
          }
        });
  }
}
