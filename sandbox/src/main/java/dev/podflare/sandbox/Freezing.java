package dev.podflare.sandbox;

import dev.podflare.engine.Engine;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.Snapshot;
import dev.podflare.guest.GuestException;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Freezes sandboxes into Spaces, and wakes sandboxes from them.
 *
 * <p>A Space is made for its user, and its sandbox is closed then; or a persistent sandbox that is
 * idle falls asleep in one, which is deleted when its next use wakes it.
 *
 * <p><b>Whatever dies, the sandbox or the Space is whole.</b> The machine lives until its snapshot
 * is durable (the engine's promise), and the manifest is durable before. What the registry does not
 * know yet is then made good by {@link #finish}: if the machine lives, the Space is thrown away; if
 * not, it is written into the registry.
 */
final class Freezing {

  private static final System.Logger LOG = System.getLogger(Freezing.class.getName());
  private static final Duration WAKE_PATIENCE = Duration.ofSeconds(30);

  private final Engine engine;
  private final OpenSandboxes open;
  private final Room room;
  private final InstantSource clock;
  private final AscendingClock births;
  private final SpaceDirectories directories;

  /** Held to read by who needs a Space's files, to write by who deletes them. */
  private final ReentrantReadWriteLock files = new ReentrantReadWriteLock();

  Freezing(
      Engine engine,
      OpenSandboxes open,
      Room room,
      InstantSource clock,
      AscendingClock births,
      SpaceDirectories directories) {
    this.engine = engine;
    this.open = open;
    this.room = room;
    this.clock = clock;
    this.births = births;
    this.directories = directories;
  }

  // ---- freeze ----

  /** Freezes a sandbox once it is its turn. Its id is closed then. */
  SpaceInfo freeze(Sandbox sandbox) throws InterruptedException {
    try (Sandbox.Turn turn = sandbox.turn();
        Sandbox.Standstill still = sandbox.standstill(turn)) {
      if (sandbox.condition() instanceof Sandbox.Condition.Asleep(SpaceId space)) {
        return open.release(sandbox, space);
      }
      return freeze(still, false);
    }
  }

  /**
   * Lets a persistent sandbox fall asleep; does nothing if somebody uses it or it sleeps already.
   *
   * @param patience how long to wait until it stands still
   * @param evenIfUsed whether to freeze it also when it has been used just now
   */
  void fallAsleep(Sandbox sandbox, Duration patience, boolean evenIfUsed)
      throws InterruptedException {
    try (Sandbox.Turn turn = sandbox.turn(patience)) {
      if (sandbox.canSleep() && (evenIfUsed || sandbox.isIdleBut(turn))) {
        try (Sandbox.Standstill still = sandbox.standstill(turn)) {
          if (sandbox.canSleep()) {
            freeze(still, true);
          }
        }
      }
    }
  }

  private SpaceInfo freeze(Sandbox.Standstill still, boolean held) throws InterruptedException {
    Machine machine = still.machine();
    // A copy must be somebody before it is frozen: who wakes it trusts that it has been.
    var _ = machine.agent();
    SpaceManifest manifest =
        new SpaceManifest(
            SpaceId.random(),
            engine.facts().fingerprint(),
            still.sandbox().sandboxRecord(),
            held,
            machine.resync(),
            machine.generation(),
            machine.line(),
            births.instant());
    boolean whole = false;
    boolean wanted = true;
    try {
      Path directory = directories.begin(manifest);
      var _ = engine.freeze(machine.microVm(), directory);
      whole = true;
      directories.finish(manifest.id());
      SpaceInfo space = manifest.info(directories.bytes(manifest.id()));
      open.frozen(still.sandbox(), space);
      return space;
    } catch (EngineException e) {
      throw Refusals.notFrozen(e);
    } catch (IOException e) {
      throw Refusals.notFrozen(Refusals.ofDisk("the Space can't be written", e));
    } catch (SandboxException closed) {
      wanted = false;
      throw closed;
    } finally {
      if (whole) {
        machine.close();
      }
      // One that is whole, and that the registry failed to take, is all that is left of the
      // sandbox: the next start of the server finds it.
      if (!whole || !wanted) {
        delete(manifest.id());
      }
    }
  }

  // ---- wake ----

  /**
   * Wakes a new sandbox from a Space.
   *
   * @param handover lets the machine become a sandbox that everybody may know
   */
  Sandbox resume(SpaceId id, BiFunction<SandboxRecord, Machine, Sandbox> handover)
      throws InterruptedException {
    open.requireTaking();
    room.require(1);
    files.readLock().lock();
    try {
      if (open.spaces().find(id).isEmpty()) {
        throw Refusals.noSpace();
      }
      SpaceManifest space = read(id);
      SandboxRecord copy = space.sandbox().descendant(SandboxId.random(), births.instant());
      Line line = space.line().with(new Line.Cut(id.value(), space.frozenAt()));
      Machine machine = start(space, copy.id(), space.generation() + 1, line);
      return keepIf(machine, () -> handover.apply(copy, machine));
    } finally {
      files.readLock().unlock();
    }
  }

  /** Lets a sandbox that is asleep drive a machine again. Nobody else may be in it. */
  void wake(Sandbox sandbox, SpaceId id) throws InterruptedException {
    open.requireTaking();
    room.require(1);
    files.readLock().lock();
    try {
      SpaceManifest space = read(id);
      // The same machine goes on, and nobody else has one like it: its generation stays.
      Machine machine = start(space, sandbox.id(), space.generation(), space.line());
      var _ =
          keepIf(
              machine,
              () -> {
                open.waked(sandbox, machine, id);
                return sandbox;
              });
    } finally {
      files.readLock().unlock();
    }
    delete(id);
  }

  private interface Handover {
    Sandbox done();
  }

  private static Sandbox keepIf(Machine machine, Handover handover) {
    boolean kept = false;
    try {
      Sandbox sandbox = handover.done();
      kept = true;
      return sandbox;
    } finally {
      if (!kept) {
        machine.close();
      }
    }
  }

  /** The machine has an identity of its own when this returns. */
  private Machine start(SpaceManifest space, SandboxId id, int generation, Line line)
      throws InterruptedException {
    try {
      Machine machine =
          new Machine(
              id,
              engine.start(whole(space.id()), space.sandbox().egress()),
              space.resync(),
              generation,
              line,
              clock);
      machine.takeIdentity(Machine.Origin.SANDBOX, WAKE_PATIENCE, nothingRuns -> {});
      return machine;
    } catch (EngineException e) {
      throw e.kind() == EngineException.Kind.SNAPSHOT_MISMATCH
          ? Refusals.spaceNotTaken(e)
          : Refusals.of(e);
    } catch (GuestException e) {
      throw Refusals.of(e, "");
    }
  }

  private Snapshot whole(SpaceId id) throws EngineException {
    try {
      return engine.open(directories.machine(id));
    } catch (EngineException e) {
      if (e.kind() == EngineException.Kind.SNAPSHOT_MISMATCH) {
        throw Refusals.spaceDamaged(e);
      }
      throw e;
    }
  }

  private SpaceManifest read(SpaceId id) {
    try {
      SpaceManifest space = directories.read(id);
      if (!space.engine().equals(engine.facts().fingerprint())) {
        throw Refusals.spaceUnfit(space.engine(), engine.facts().fingerprint());
      }
      return space;
    } catch (IOException e) {
      throw Refusals.spaceDamaged(e);
    }
  }

  // ---- delete ----

  /** Deletes a Space of a user. Does nothing if it is deleted already. */
  void deleteSpace(SpaceId id) {
    Optional<SpaceInfo> space = open.spaces().find(id);
    if (space.flatMap(SpaceInfo::heldBy).isPresent()) {
      throw Refusals.spaceInUse();
    }
    if (space.isPresent() && open.spaces().delete(id, clock.instant())) {
      delete(id);
    }
  }

  /** Deletes the files of a Space that no registry names any more. */
  void delete(SpaceId id) {
    files.writeLock().lock();
    try {
      directories.delete(id);
    } catch (IOException e) {
      LOG.log(
          System.Logger.Level.WARNING,
          "the files of " + id + " are left until the next start of the server",
          e);
    } finally {
      files.writeLock().unlock();
    }
  }

  // ---- after the death of a server ----

  /**
   * Makes good what a server that died left half done: deletes what is no Space, and writes into
   * the registry those that are whole and whose sandbox has no machine any more.
   *
   * @param machineless the open sandboxes whose machine has ended
   */
  void finish(List<SandboxRecord> machineless) throws IOException {
    Map<SandboxId, SandboxRecord> waiting =
        machineless.stream().collect(Collectors.toMap(SandboxRecord::id, Function.identity()));
    for (SpaceId id : directories.unfinished()) {
      directories.finish(id);
    }
    for (SpaceId id : directories.all()) {
      if (open.spaces().find(id).isEmpty() && !finish(id, waiting)) {
        delete(id);
      }
    }
  }

  private boolean finish(SpaceId id, Map<SandboxId, SandboxRecord> waiting) {
    try {
      SpaceManifest space = directories.read(id);
      if (!waiting.containsKey(space.sandbox().id()) || open.spaces().ownerEver(id).isPresent()) {
        return false;
      }
      var _ = engine.open(directories.machine(id));
      open.frozenBefore(space.info(directories.bytes(id)));
      LOG.log(
          System.Logger.Level.INFO, id + " was being written when the server died; it is whole");
      return true;
    } catch (EngineException | IOException torn) {
      LOG.log(System.Logger.Level.INFO, id + " was not finished, and is deleted", torn);
      return false;
    }
  }
}
