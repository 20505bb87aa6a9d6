package dev.podflare.sandbox;

import dev.podflare.engine.EngineException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Machines of one template that wait for a user, so that nobody waits for a machine.
 *
 * <p>{@link #take} never blocks: it gives a machine that is ready, or none. One thread refills, one
 * machine after the other, so that a burst of creates does not have to share the processors with
 * more than one clone. A machine that dies while it waits leaves the pool by itself. A clone that
 * can't be made is tried again after a pause that doubles up to 30 s, and is logged each time.
 *
 * <p>Whoever takes a machine owns it. {@link #close()} ends those that nobody took, the one that is
 * just being made included.
 */
final class WarmPool implements AutoCloseable {

  /** Makes one machine. */
  interface Source {
    Machine make() throws EngineException, InterruptedException;
  }

  private static final System.Logger LOG = System.getLogger(WarmPool.class.getName());
  private static final Duration REST = Duration.ofMillis(200);
  private static final Duration SHORTEST_PAUSE = Duration.ofMillis(250);
  private static final Duration LONGEST_PAUSE = Duration.ofSeconds(30);

  private final String template;
  private final int target;
  private final Source source;
  private final Thread refill;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final ArrayDeque<Machine> ready = new ArrayDeque<>();
  private boolean closed;
  private long lastTakenNanos = System.nanoTime() - REST.toNanos();
  private long hits;
  private long misses;

  /**
   * Starts to fill.
   *
   * @param target how many machines shall wait, 0 or more
   */
  WarmPool(String template, int target, Source source) {
    this(template, target, source, Optional.empty());
  }

  /**
   * Starts to fill.
   *
   * @param first a machine that is there already; it is the pool's from now on
   */
  WarmPool(String template, int target, Source source, Optional<Machine> first) {
    this.template = template;
    this.target = target;
    this.source = source;
    first.ifPresent(this::add);
    this.refill = Thread.ofVirtual().name("pool-" + template).start(this::keepFull);
  }

  /** A machine that is ready, or none. */
  Optional<Machine> take() {
    lock.lock();
    try {
      while (!ready.isEmpty()) {
        Machine machine = ready.pop();
        lastTakenNanos = System.nanoTime();
        changed.signalAll();
        if (!machine.hasEnded()) {
          hits++;
          return Optional.of(machine);
        }
      }
      misses++;
      return Optional.empty();
    } finally {
      lock.unlock();
    }
  }

  /** Ends those that wait, and makes others. */
  void renew() {
    List<Machine> outdated;
    lock.lock();
    try {
      outdated = new ArrayList<>(ready);
      ready.clear();
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    outdated.forEach(Machine::close);
  }

  /** Waits until a machine is ready; false if none was in this time. */
  boolean awaitReady(Duration longest) throws InterruptedException {
    long left = longest.toNanos();
    lock.lock();
    try {
      while (ready.isEmpty() && target > 0 && !closed) {
        if (left <= 0) {
          return false;
        }
        left = changed.awaitNanos(left);
      }
      return true;
    } finally {
      lock.unlock();
    }
  }

  Capacity.Pool counters() {
    lock.lock();
    try {
      return new Capacity.Pool(template, ready.size(), target, hits, misses);
    } finally {
      lock.unlock();
    }
  }

  private void keepFull() {
    Duration pause = SHORTEST_PAUSE;
    try {
      while (awaitRoom()) {
        try {
          add(source.make());
          pause = SHORTEST_PAUSE;
        } catch (EngineException | RuntimeException e) {
          LOG.log(
              System.Logger.Level.WARNING,
              "the pool of "
                  + template
                  + " could not be refilled; next try in "
                  + pause.toMillis()
                  + " ms",
              e);
          awaitClosed(pause);
          pause =
              pause.multipliedBy(2).compareTo(LONGEST_PAUSE) < 0
                  ? pause.multipliedBy(2)
                  : LONGEST_PAUSE;
        }
      }
    } catch (InterruptedException closing) {
      Thread.currentThread().interrupt();
    }
  }

  /** False when the pool is closed. */
  private boolean awaitRoom() throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (!closed) {
        long rest = REST.toNanos() - (System.nanoTime() - lastTakenNanos);
        if (ready.size() >= target) {
          changed.await();
        } else if (!ready.isEmpty() && rest > 0) {
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

  private void add(Machine machine) {
    lock.lock();
    try {
      if (!closed) {
        ready.add(machine);
        var _ = machine.exit().thenRun(() -> forget(machine));
        changed.signalAll();
        return;
      }
    } finally {
      lock.unlock();
    }
    machine.close();
  }

  private void forget(Machine machine) {
    lock.lock();
    try {
      if (ready.remove(machine)) {
        LOG.log(System.Logger.Level.WARNING, "a machine of the pool of " + template + " died");
        changed.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void close() {
    List<Machine> left;
    lock.lock();
    try {
      closed = true;
      left = new ArrayList<>(ready);
      ready.clear();
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    left.forEach(Machine::close);
    try {
      if (!refill.join(Duration.ofMinutes(1))) {
        LOG.log(
            System.Logger.Level.WARNING, "the pool of " + template + " does not stop refilling");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
