package dev.podflare.sandbox;

import dev.podflare.engine.Egress;
import dev.podflare.engine.Engine;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.MicroVm;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/** A stopped machine that is copied, and ends when no copy of it is being made. */
final class Zygote implements AutoCloseable {

  private final Machine machine;

  /** Held to read while a copy is made, to write by who ends it. */
  private final ReentrantReadWriteLock use = new ReentrantReadWriteLock();

  private final AtomicBoolean rehearsed;

  Zygote(Machine machine) {
    this(machine, false);
  }

  private Zygote(Machine machine, boolean rehearsed) {
    this.machine = machine;
    this.rehearsed = new AtomicBoolean(rehearsed);
  }

  /** One that has had its rehearsal. */
  static Zygote warm(Machine machine) {
    return new Zygote(machine, true);
  }

  /** Whether its successor is to be rehearsed now: true once, and never for a warm one. */
  boolean beginRehearsal() {
    return rehearsed.compareAndSet(false, true);
  }

  boolean hasEnded() {
    return machine.hasEnded();
  }

  /** A copy; empty if this one has ended. */
  Optional<MicroVm> fork(Engine engine, Egress egress) throws EngineException {
    use.readLock().lock();
    try {
      if (machine.hasEnded()) {
        return Optional.empty();
      }
      return Optional.of(engine.fork(machine.microVm(), egress, 1).children().getFirst());
    } finally {
      use.readLock().unlock();
    }
  }

  @Override
  public void close() {
    use.writeLock().lock();
    try {
      machine.close();
    } finally {
      use.writeLock().unlock();
    }
  }
}
