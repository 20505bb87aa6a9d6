package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.Prepared;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Machine monitors that were started ahead of time and have nothing to run yet.
 *
 * <p>A process in its jail, with its network and its control group, takes a tenth of a second to
 * come up; to make it a clone takes a fraction of that. They fit any snapshot of their shape. Some
 * wait for each shape that was asked for lately, and one thread starts more, after a rest that
 * leaves the processors to those who were just started.
 *
 * <p>Safe for use by many threads.
 */
final class WaitingMachines implements AutoCloseable {

  /** Starts one. */
  interface Source {
    QemuMicroVm launch(MachineShape shape) throws EngineException;
  }

  private static final System.Logger LOG = System.getLogger(WaitingMachines.class.getName());
  private static final Duration REST = Duration.ofMillis(400);
  private static final Duration INTEREST = Duration.ofMinutes(5);
  private static final Duration PAUSE_AFTER_FAILURE = Duration.ofSeconds(5);

  private final int target;
  private final Source source;
  private final Thread refill;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Map<MachineShape, ArrayDeque<QemuMicroVm>> ready = new LinkedHashMap<>();
  private final Map<MachineShape, Long> lastAsked = new LinkedHashMap<>();
  private long restUntil = System.nanoTime();
  private boolean closed;

  /**
   * @param target how many shall wait for each shape, 0 or more
   */
  WaitingMachines(int target, Source source) {
    this.target = target;
    this.source = source;
    this.refill = Thread.ofVirtual().name("waiting-machines").start(this::keepFull);
  }

  /** How many wait, of the shapes that are asked for. */
  Prepared prepared() {
    lock.lock();
    try {
      int waiting = 0;
      int wanted = 0;
      for (var entry : ready.entrySet()) {
        if (isWanted(entry.getKey())) {
          waiting += entry.getValue().size();
          wanted += target;
        }
      }
      return new Prepared(waiting, wanted);
    } finally {
      lock.unlock();
    }
  }

  /** One that waits, or else one that is started now. */
  QemuMicroVm take(MachineShape shape) throws EngineException {
    QemuMicroVm waiting = poll(shape);
    return waiting == null ? source.launch(shape) : waiting;
  }

  private @Nullable QemuMicroVm poll(MachineShape shape) {
    lock.lock();
    try {
      lastAsked.put(shape, System.nanoTime());
      restUntil = System.nanoTime() + REST.toNanos();
      changed.signalAll();
      ArrayDeque<QemuMicroVm> some = ready.computeIfAbsent(shape, _ -> new ArrayDeque<>());
      QemuMicroVm machine = some.poll();
      while (machine != null && machine.exit().isDone()) {
        machine = some.poll();
      }
      return machine;
    } finally {
      lock.unlock();
    }
  }

  private void keepFull() {
    try {
      while (true) {
        QemuMicroVm outOfDate = outOfDate();
        if (outOfDate != null) {
          outOfDate.close();
          continue;
        }
        MachineShape shape = awaitNeed();
        if (shape == null) {
          return;
        }
        try {
          add(source.launch(shape));
        } catch (EngineException e) {
          LOG.log(System.Logger.Level.WARNING, "no machine can be started ahead of time", e);
          if (awaitClosed(PAUSE_AFTER_FAILURE)) {
            return;
          }
        }
      }
    } catch (InterruptedException closing) {
      Thread.currentThread().interrupt();
    }
  }

  /** A machine of a shape that nobody has asked for in a while. */
  private @Nullable QemuMicroVm outOfDate() {
    lock.lock();
    try {
      for (var entry : ready.entrySet()) {
        if (!entry.getValue().isEmpty() && !isWanted(entry.getKey())) {
          return entry.getValue().poll();
        }
      }
      return null;
    } finally {
      lock.unlock();
    }
  }

  /** The shape that was asked for first is the host's usual one. */
  private boolean isWanted(MachineShape shape) {
    Long asked = lastAsked.get(shape);
    return shape.equals(lastAsked.keySet().iterator().next())
        || (asked != null && System.nanoTime() - asked < INTEREST.toNanos());
  }

  /** The shape that most are missing of; null when closed. */
  private @Nullable MachineShape awaitNeed() throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (!closed) {
        long rest = restUntil - System.nanoTime();
        if (rest > 0) {
          var _ = changed.awaitNanos(rest);
          continue;
        }
        for (var entry : ready.entrySet()) {
          if (entry.getValue().size() < target && isWanted(entry.getKey())) {
            return entry.getKey();
          }
        }
        var _ = changed.awaitNanos(INTEREST.toNanos());
      }
      return null;
    } finally {
      lock.unlock();
    }
  }

  private boolean awaitClosed(Duration longest) throws InterruptedException {
    long left = longest.toNanos();
    lock.lockInterruptibly();
    try {
      while (!closed && left > 0) {
        left = changed.awaitNanos(left);
      }
      return closed;
    } finally {
      lock.unlock();
    }
  }

  private void add(QemuMicroVm machine) {
    lock.lock();
    try {
      if (!closed) {
        ready.computeIfAbsent(machine.shape(), _ -> new ArrayDeque<>()).add(machine);
        return;
      }
    } finally {
      lock.unlock();
    }
    machine.close();
  }

  @Override
  public void close() {
    List<QemuMicroVm> left = new ArrayList<>();
    lock.lock();
    try {
      closed = true;
      ready.values().forEach(left::addAll);
      ready.clear();
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    left.forEach(QemuMicroVm::close);
    try {
      if (!refill.join(Duration.ofMinutes(1))) {
        LOG.log(System.Logger.Level.WARNING, "machines are still being started ahead of time");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
