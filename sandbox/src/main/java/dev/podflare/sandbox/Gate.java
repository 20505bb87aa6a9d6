package dev.podflare.sandbox;

import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Lets any number of threads in together, or one alone.
 *
 * <p>Fair: whoever wants to be alone keeps later ones out, so that it comes to its turn; and a pass
 * may be given back by another thread than the one that got it, which no lock of the JDK allows.
 */
final class Gate {

  /** More than a server can have threads at work in one sandbox. */
  private static final int ALL = 1 << 20;

  private final Semaphore permits = new Semaphore(ALL, true);

  /** Leave to be inside. Closing it is leaving, and can be done twice. */
  final class Pass implements AutoCloseable {

    private final int weight;
    private final AtomicBoolean left = new AtomicBoolean();

    private Pass(int weight) {
      this.weight = weight;
    }

    @Override
    public void close() {
      if (left.compareAndSet(false, true)) {
        permits.release(weight);
      }
    }
  }

  /** Waits while somebody is alone inside, or waits to be. */
  Pass enter() throws InterruptedException {
    permits.acquire();
    return new Pass(1);
  }

  /** Waits until nobody else is inside; empty if somebody still was after this time. */
  Optional<Pass> enterAlone(Duration longest) throws InterruptedException {
    return permits.tryAcquire(ALL, longest.toNanos(), TimeUnit.NANOSECONDS)
        ? Optional.of(new Pass(ALL))
        : Optional.empty();
  }

  /** Whether somebody waits. */
  boolean hasWaiting() {
    return permits.hasQueuedThreads();
  }
}
