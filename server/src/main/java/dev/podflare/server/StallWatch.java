package dev.podflare.server;

import io.helidon.webserver.CloseConnectionException;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;

/**
 * Cuts connections whose client neither sends nor takes a byte for too long.
 *
 * <p>Only the time inside a read or a write counts. So a client that waits for an exec which prints
 * nothing is not cut, however long that takes, and one that opens connections and leaves them, or
 * never takes its answer, does not keep them. The web server's own idle timeout knows no difference
 * between the two.
 */
final class StallWatch implements AutoCloseable {

  private static final int SWEEPS_PER_LIMIT = 5;

  private final Duration limit;
  private final Set<Wait> waits = ConcurrentHashMap.newKeySet();
  private final ScheduledExecutorService sweeper =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofVirtual().name("stalled-connections").factory());

  /** One read or write that goes on. Whoever settles it first decides how it ends. */
  private record Wait(Thread thread, long sinceNanos, AtomicBoolean settled) {}

  StallWatch(Duration limit) {
    this.limit = limit;
    long period = limit.toNanos() / SWEEPS_PER_LIMIT;
    var _ = sweeper.scheduleAtFixedRate(this::sweep, period, period, TimeUnit.NANOSECONDS);
  }

  /**
   * Runs a read or a write of a connection's own thread, and interrupts it when it takes too long,
   * which closes the connection.
   */
  <T> T watch(Supplier<T> transfer) {
    Wait wait = new Wait(Thread.currentThread(), System.nanoTime(), new AtomicBoolean());
    waits.add(wait);
    T result;
    try {
      result = transfer.get();
    } finally {
      waits.remove(wait);
    }
    if (!wait.settled().compareAndSet(false, true)) {
      throw new CloseConnectionException("the client neither sent nor took a byte for " + limit);
    }
    return result;
  }

  @Override
  public void close() {
    sweeper.shutdownNow();
  }

  private void sweep() {
    long now = System.nanoTime();
    for (Wait wait : waits) {
      if (now - wait.sinceNanos() > limit.toNanos() && wait.settled().compareAndSet(false, true)) {
        wait.thread().interrupt();
      }
    }
  }
}
