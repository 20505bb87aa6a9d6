package dev.podflare.sandbox;

import dev.podflare.engine.Egress;
import dev.podflare.engine.Engine;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.MicroVm;
import dev.podflare.guest.GuestException;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The machines of which new sandboxes are forked: one for each template and size in use, restored
 * from its snapshot, awake, and stopped. Its copies find in the host's memory all that they read,
 * and, emulated, the translation of all code that it has run.
 *
 * <p><b>Cold, then warm.</b> A zygote is there after a fraction of a second, and has run little
 * then. So another one is made behind it, goes through a {@link Rehearsal}, which takes seconds,
 * and takes its place. That is done at once for a template of which machines wait, and else at the
 * second use: of a size that is asked for once, nobody would have the benefit. One is rehearsed at
 * a time.
 *
 * <p>At most {@link #MOST} are kept; beyond that the one that was not used for longest ends. One
 * that has died is made again. Safe for use by many threads.
 */
final class Zygotes implements AutoCloseable {

  private static final System.Logger LOG = System.getLogger(Zygotes.class.getName());
  private static final int MOST = 8;

  private final Engine engine;
  private final InstantSource clock;
  private final Consumer<Path> warmed;
  private final ReentrantLock making = new ReentrantLock();
  private final ExecutorService rehearsals =
      Executors.newSingleThreadExecutor(Thread.ofVirtual().name("rehearsal").factory());

  private final AtomicInteger pending = new AtomicInteger();

  /** By the directory of the snapshot; the one that was used last comes last. */
  private final Map<Path, Zygote> zygotes = new LinkedHashMap<>();

  private boolean closed;

  /**
   * @param warmed hears of each snapshot whose copies are warm from now on
   */
  Zygotes(Engine engine, InstantSource clock, Consumer<Path> warmed) {
    this.engine = engine;
    this.clock = clock;
    this.warmed = warmed;
  }

  /** A copy of a template's machine, which runs and is nobody yet. */
  MicroVm fork(TemplateSnapshot template, Egress egress)
      throws EngineException, InterruptedException {
    while (true) {
      Optional<MicroVm> copy = of(template).fork(engine, egress);
      if (copy.isPresent()) {
        return copy.get();
      }
    }
  }

  /** Sees to it that copies of a template are warm in a while. */
  void warm(TemplateSnapshot template) throws EngineException, InterruptedException {
    rehearse(template, of(template));
  }

  private Zygote of(TemplateSnapshot template) throws EngineException, InterruptedException {
    @Nullable Zygote eldest = null;
    Zygote zygote;
    making.lockInterruptibly();
    try {
      if (closed) {
        throw new EngineException(EngineException.Kind.FAILED, "the server is stopping");
      }
      Path key = template.snapshot().directory();
      @Nullable Zygote known = zygotes.remove(key);
      if (known != null && !known.hasEnded()) {
        zygote = known;
        rehearse(template, zygote);
      } else {
        zygote = new Zygote(make(template, true, this::cold));
      }
      zygotes.put(key, zygote);
      if (zygotes.size() > MOST) {
        Iterator<Zygote> all = zygotes.values().iterator();
        eldest = all.next();
        all.remove();
      }
    } finally {
      making.unlock();
    }
    if (eldest != null) {
      Thread.ofVirtual().start(eldest::close);
    }
    return zygote;
  }

  /** How many are to be rehearsed, or are being so. */
  int rehearsals() {
    return pending.get();
  }

  private void rehearse(TemplateSnapshot template, Zygote cold) {
    if (!cold.beginRehearsal()) {
      return;
    }
    pending.incrementAndGet();
    try {
      rehearsals.execute(() -> {
        try {
          replace(template, cold);
        } finally {
          pending.decrementAndGet();
        }
      });
    } catch (RejectedExecutionException closing) {
      pending.decrementAndGet();
      LOG.log(System.Logger.Level.DEBUG, "the server stops before a template was warm", closing);
    }
  }

  private void replace(TemplateSnapshot template, Zygote cold) {
    Path key = template.snapshot().directory();
    if (!isCurrent(key, cold)) {
      return;
    }
    try {
      Zygote warm = Zygote.warm(make(template, false, this::warm));
      boolean wanted;
      making.lockInterruptibly();
      try {
        wanted = !closed && zygotes.replace(key, cold, warm);
      } finally {
        making.unlock();
      }
      if (wanted) {
        cold.close();
        warmed.accept(key);
      } else {
        warm.close();
      }
    } catch (EngineException e) {
      LOG.log(
          System.Logger.Level.WARNING,
          "sandboxes of " + key.getFileName() + " begin cold: their template could not be warmed",
          e);
    } catch (InterruptedException closing) {
      Thread.currentThread().interrupt();
    }
  }

  private boolean isCurrent(Path key, Zygote zygote) {
    making.lock();
    try {
      return !closed && zygotes.get(key) == zygote;
    } finally {
      making.unlock();
    }
  }

  /** What a zygote does before it is stopped for good. */
  private interface Preparation {
    void of(Machine machine) throws EngineException, GuestException, InterruptedException;
  }

  private void cold(Machine machine) throws EngineException, GuestException, InterruptedException {
    machine.reachOnce();
    machine.microVm().pause();
  }

  private void warm(Machine machine) throws EngineException, GuestException, InterruptedException {
    Rehearsal.of(machine);
    try {
      engine.settle(machine.microVm());
    } catch (EngineException e) {
      if (e.kind() != EngineException.Kind.NO_ROOM) {
        throw e;
      }
      LOG.log(System.Logger.Level.WARNING, "new sandboxes take longer: " + e.getMessage());
    }
  }

  private Machine make(TemplateSnapshot template, boolean waitedFor, Preparation preparation)
      throws EngineException, InterruptedException {
    Machine zygote =
        new Machine(
            SandboxId.random(),
            engine.startZygote(template.snapshot(), waitedFor),
            template.resync(),
            0,
            Line.ORIGIN,
            clock);
    boolean made = false;
    try {
      preparation.of(zygote);
      made = true;
      return zygote;
    } catch (GuestException e) {
      throw new EngineException(
          EngineException.Kind.FAILED, "a template does not wake: " + e.getMessage(), e);
    } finally {
      if (!made) {
        zygote.close();
      }
    }
  }

  /** Ends the one of a template that is no more. */
  void end(Path snapshot) {
    @Nullable Zygote ended;
    making.lock();
    try {
      ended = zygotes.remove(snapshot);
    } finally {
      making.unlock();
    }
    if (ended != null) {
      ended.close();
    }
  }

  /** Gives back the memory of all but the one that was used last. */
  void endMost() {
    List<Zygote> ended = new ArrayList<>();
    making.lock();
    try {
      Iterator<Zygote> all = zygotes.values().iterator();
      for (int left = zygotes.size(); left > 1; left--) {
        ended.add(all.next());
        all.remove();
      }
    } finally {
      making.unlock();
    }
    ended.forEach(Zygote::close);
  }

  @Override
  public void close() {
    List<Zygote> all;
    making.lock();
    try {
      closed = true;
      all = new ArrayList<>(zygotes.values());
      zygotes.clear();
    } finally {
      making.unlock();
    }
    rehearsals.shutdownNow();
    all.forEach(Zygote::close);
    rehearsals.close();
  }
}
