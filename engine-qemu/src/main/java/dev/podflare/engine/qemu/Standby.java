package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import dev.podflare.engine.Prepared;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Things that take long to make, some of which are ready ahead of time. One thread makes more when
 * some were taken, after a rest that leaves the processors to whoever took them.
 *
 * <p>Safe for use by many threads.
 *
 * @param <T> what is kept
 */
final class Standby<T extends AutoCloseable> implements AutoCloseable {

  /** Makes one. */
  interface Source<T> {
    T make() throws EngineException;
  }

  private static final System.Logger LOG = System.getLogger(Standby.class.getName());
  private static final Duration REST = Duration.ofMillis(300);
  private static final Duration PAUSE_AFTER_FAILURE = Duration.ofSeconds(5);

  private final int target;
  private final Source<T> source;
  private final Thread refill;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final ArrayDeque<T> ready = new ArrayDeque<>();
  private long restUntil = System.nanoTime();
  private boolean closed;

  /**
   * @param name of the thread that makes them
   * @param target how many shall be ready, 0 or more
   */
  Standby(String name, int target, Source<T> source) {
    this.target = target;
    this.source = source;
    this.refill = Thread.ofVirtual().name(name).start(this::keepFull);
  }

  Prepared prepared() {
    lock.lock();
    try {
      return new Prepared(ready.size(), target);
    } finally {
      lock.unlock();
    }
  }

  /** One that is ready, or else one that is made now. */
  T take() throws EngineException {
    T one = poll();
    return one == null ? source.make() : one;
  }

  private @Nullable T poll() {
    lock.lock();
    try {
      restUntil = System.nanoTime() + REST.toNanos();
      changed.signalAll();
      return ready.poll();
    } finally {
      lock.unlock();
    }
  }

  private void keepFull() {
    try {
      while (awaitNeed()) {
        try {
          add(source.make());
        } catch (EngineException e) {
          LOG.log(System.Logger.Level.WARNING, "nothing can be made ahead of time", e);
          awaitClosed(PAUSE_AFTER_FAILURE);
        }
      }
    } catch (InterruptedException closing) {
      Thread.currentThread().interrupt();
    }
  }

  /** False when closed. */
  private boolean awaitNeed() throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (!closed) {
        long rest = restUntil - System.nanoTime();
        if (ready.size() >= target) {
          changed.await();
        } else if (rest > 0) {
          var _ = changed.awaitNanos(rest);
        } else {
          return true;
        }
      }
      return false;
    } finally {
      lock.unlock();
    }
  }

  private void awaitClosed(Duration longest) throws InterruptedException {
    long left = longest.toNanos();
    lock.lockInterruptibly();
    try {
      while (!closed && left > 0) {
        left = changed.awaitNanos(left);
      }
    } finally {
      lock.unlock();
    }
  }

  private void add(T made) {
    lock.lock();
    try {
      if (!closed) {
        ready.add(made);
        return;
      }
    } finally {
      lock.unlock();
    }
    close(made);
  }

  private static void close(AutoCloseable one) {
    try {
      one.close();
    } catch (Exception e) {
      LOG.log(System.Logger.Level.ERROR, "something that was made ahead of time stays behind", e);
    }
  }

  /** Ends those that nobody took, and the one that is just being made. */
  @Override
  public void close() {
    List<T> left;
    lock.lock();
    try {
      closed = true;
      left = new ArrayList<>(ready);
      ready.clear();
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    left.forEach(Standby::close);
    try {
      if (!refill.join(Duration.ofMinutes(1))) {
        LOG.log(System.Logger.Level.WARNING, "things are still being made ahead of time");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
