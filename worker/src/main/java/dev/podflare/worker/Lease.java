package dev.podflare.worker;

import dev.podflare.worker.WorkQueue.Heartbeat;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The right to work on an item, which lasts as long as heartbeats prove that it is still this
 * worker that holds it. Once it has ended it stays so.
 */
final class Lease {
  /** Why it ended. */
  enum End {
    /** The work is done, or given back. */
    RELEASED,
    /** The provider says that the work shall end. */
    STOPPED,
    /** Another worker has it, or could have it by now. */
    LOST,
    /** The provider takes no heartbeats from here. */
    REJECTED
  }

  private static final Logger LOG = System.getLogger(Lease.class.getPackageName());
  private static final Duration SHORTEST_INTERVAL = Duration.ofSeconds(1);
  private static final Duration LONGEST_INTERVAL = Duration.ofSeconds(30);
  private static final Duration USUAL_TTL = Duration.ofSeconds(90);

  private final WorkQueue queue;
  private final WorkItem item;
  private final Ticker ticker;
  private final Runnable onEnd;
  private final CountDownLatch ended = new CountDownLatch(1);
  private Duration ttl = USUAL_TTL;
  private long lastSuccess;
  private volatile String last = WorkQueue.NO_HEARTBEAT;
  private volatile @Nullable End end;

  /**
   * A lease that is not yet held.
   *
   * @param onEnd is run once, by the thread that ends it, unless it is released
   */
  Lease(WorkQueue queue, WorkItem item, Ticker ticker, Runnable onEnd) {
    this.queue = queue;
    this.item = item;
    this.ticker = ticker;
    this.onEnd = onEnd;
    this.lastSuccess = ticker.nanos();
  }

  /** Takes it by a first heartbeat; answers whether it is held now. */
  boolean take() throws InterruptedException {
    while (end == null && last.equals(WorkQueue.NO_HEARTBEAT)) {
      if (!beat() && awaitEnd(SHORTEST_INTERVAL)) {
        return false;
      }
    }
    return end == null;
  }

  /** Beats until it ends. */
  void keep() {
    try {
      while (!awaitEnd(interval())) {
        beat();
      }
    } catch (InterruptedException released) {
      Thread.currentThread().interrupt();
    }
  }

  /** Ends it from here. */
  void release() {
    finish(End.RELEASED);
  }

  /** Why it ended; nothing while it is held. */
  Optional<End> end() {
    return Optional.ofNullable(end);
  }

  /** Waits until it ends, but not longer than this; answers whether it has ended. */
  boolean awaitEnd(Duration time) throws InterruptedException {
    return ended.await(time.toNanos(), TimeUnit.NANOSECONDS);
  }

  /** What the latest heartbeat was answered: it proves to the provider who holds the lease. */
  String last() {
    return last;
  }

  /** How often it beats: twice in the time that the lease lasts. */
  Duration interval() {
    Duration half = ttl.dividedBy(2);
    if (half.compareTo(SHORTEST_INTERVAL) < 0) {
      return SHORTEST_INTERVAL;
    }
    return half.compareTo(LONGEST_INTERVAL) > 0 ? LONGEST_INTERVAL : half;
  }

  /** One heartbeat, bounded by the interval; answers whether it came through. */
  boolean beat() throws InterruptedException {
    try {
      Heartbeat answer = queue.heartbeat(item, last, interval());
      lastSuccess = ticker.nanos();
      last = answer.last();
      if (answer.ttl().isPositive()) {
        ttl = answer.ttl();
      }
      if (answer.isStopping() || !answer.isExtended()) {
        LOG.log(Level.INFO, "work {0}: the provider ends it", item.id());
        finish(End.STOPPED);
      }
      return true;
    } catch (ProviderException e) {
      failed(e);
      return false;
    }
  }

  private void failed(ProviderException e) {
    if (e.status() == 412) {
      LOG.log(Level.WARNING, "work {0}: another worker holds its lease now", item.id());
      finish(End.LOST);
    } else if (e.isFinal()) {
      LOG.log(
          Level.WARNING,
          "work {0}: its lease can''t be kept, so it is left: {1}",
          item.id(),
          e.getMessage());
      finish(End.REJECTED);
    } else if (ticker.nanos() - lastSuccess > ttl.toNanos()) {
      LOG.log(
          Level.WARNING,
          "work {0}: no heartbeat came through for {1} s, so its lease counts as lost: {2}",
          item.id(),
          ttl.toSeconds(),
          e.getMessage());
      finish(End.LOST);
    } else {
      LOG.log(Level.INFO, "work {0}: a heartbeat failed: {1}", item.id(), e.getMessage());
    }
  }

  private synchronized void finish(End reason) {
    if (end != null) {
      return;
    }
    end = reason;
    ended.countDown();
    if (reason != End.RELEASED) {
      onEnd.run();
    }
  }
}
