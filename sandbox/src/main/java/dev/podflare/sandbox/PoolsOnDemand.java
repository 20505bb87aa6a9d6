package dev.podflare.sandbox;

import dev.podflare.engine.EngineException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * One waiting machine for each of the users' templates that are in use.
 *
 * <p>A template has a pool from its build or its first create on, until nobody has created from it
 * for {@link #UNUSED}. There are at most {@link #MOST} pools; beyond that the one that was not used
 * for longest goes. A pool never takes the last room of the host: one that finds none ends, and
 * comes back with the next create.
 */
final class PoolsOnDemand {

  private static final int MOST = 8;
  private static final Duration UNUSED = Duration.ofMinutes(10);

  /** The one that is to be made, and another one, so that it does not take somebody's place. */
  private static final int ROOM = 2;

  private static final class Entry {
    private final WarmPool pool;
    private long lastUsedNanos = System.nanoTime();

    Entry(WarmPool pool) {
      this.pool = pool;
    }
  }

  private final Room room;
  private final Timer timer;
  private final ReentrantLock lock = new ReentrantLock();
  private final Map<TemplateId, Entry> pools = new HashMap<>();
  private boolean closed;
  private long hits;
  private long misses;

  PoolsOnDemand(Room room, Timer timer) {
    this.room = room;
    this.timer = timer;
  }

  /** A machine that waits, or none. */
  Optional<Machine> take(TemplateId id) {
    lock.lock();
    try {
      Entry entry = pools.get(id);
      Optional<Machine> taken = Optional.empty();
      if (entry != null) {
        entry.lastUsedNanos = System.nanoTime();
        taken = entry.pool.take();
      }
      if (taken.isPresent()) {
        hits++;
      } else {
        misses++;
      }
      return taken;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Begins to keep a machine of a template waiting, if none does already and there is room.
   *
   * @param source makes one
   * @param first one that is there already; it is the pool's from now on
   */
  void begin(TemplateId id, String name, WarmPool.Source source, Optional<Machine> first) {
    Optional<WarmPool> tooMany = Optional.empty();
    Optional<Machine> unused = first;
    lock.lock();
    try {
      boolean free = first.isPresent() || room.fits(ROOM);
      if (!closed && free && !pools.containsKey(id)) {
        if (pools.size() == MOST) {
          tooMany = Optional.ofNullable(removed(longestUnused()));
        }
        pools.put(id, new Entry(new WarmPool(name, 1, () -> make(id, source), first)));
        unused = Optional.empty();
        timer.after(UNUSED, () -> endIfUnused(id));
      }
    } finally {
      lock.unlock();
    }
    unused.ifPresent(Machine::close);
    tooMany.ifPresent(WarmPool::close);
  }

  private Machine make(TemplateId id, WarmPool.Source source)
      throws EngineException, InterruptedException {
    if (!room.fits(ROOM)) {
      Thread.ofVirtual().start(() -> end(id));
      throw new EngineException(
          EngineException.Kind.NO_ROOM, "this host has no memory for a machine that only waits");
    }
    return source.make();
  }

  private TemplateId longestUnused() {
    long now = System.nanoTime();
    return pools.entrySet().stream()
        .max(Comparator.comparingLong(entry -> now - entry.getValue().lastUsedNanos))
        .orElseThrow()
        .getKey();
  }

  private @Nullable WarmPool removed(TemplateId id) {
    Entry entry = pools.remove(id);
    return entry == null ? null : entry.pool;
  }

  private void endIfUnused(TemplateId id) {
    Optional<WarmPool> over = Optional.empty();
    lock.lock();
    try {
      Entry entry = pools.get(id);
      if (entry == null) {
        return;
      }
      Duration left = UNUSED.minus(Duration.ofNanos(System.nanoTime() - entry.lastUsedNanos));
      if (left.isPositive()) {
        timer.after(left.plusMillis(1), () -> endIfUnused(id));
      } else {
        over = Optional.ofNullable(removed(id));
      }
    } finally {
      lock.unlock();
    }
    over.ifPresent(WarmPool::close);
  }

  /** Keeps no machine of a template waiting any more. */
  void end(TemplateId id) {
    Optional<WarmPool> ended;
    lock.lock();
    try {
      ended = Optional.ofNullable(removed(id));
    } finally {
      lock.unlock();
    }
    ended.ifPresent(WarmPool::close);
  }

  /** Makes those that wait anew. */
  void renew(Predicate<TemplateId> which) {
    List<WarmPool> all;
    lock.lock();
    try {
      all =
          pools.entrySet().stream()
              .filter(each -> which.test(each.getKey()))
              .map(each -> each.getValue().pool)
              .toList();
    } finally {
      lock.unlock();
    }
    all.forEach(WarmPool::renew);
  }

  /** Gives back the memory of all that wait. */
  void endAll() {
    List<WarmPool> all;
    lock.lock();
    try {
      all = new ArrayList<>(pools.values().stream().map(entry -> entry.pool).toList());
      pools.clear();
    } finally {
      lock.unlock();
    }
    try (ExecutorService each = Executors.newVirtualThreadPerTaskExecutor()) {
      all.forEach(pool -> each.execute(pool::close));
    }
  }

  /** {@link #endAll}, and begins none any more. */
  void close() {
    lock.lock();
    try {
      closed = true;
    } finally {
      lock.unlock();
    }
    endAll();
  }

  /** All pools as one: whose templates there are is not everybody's business. */
  Optional<Capacity.Pool> counters() {
    lock.lock();
    try {
      if (hits + misses == 0 && pools.isEmpty()) {
        return Optional.empty();
      }
      int ready = pools.values().stream().mapToInt(entry -> entry.pool.counters().ready()).sum();
      return Optional.of(new Capacity.Pool("custom", ready, pools.size(), hits, misses));
    } finally {
      lock.unlock();
    }
  }
}
