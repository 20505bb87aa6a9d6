package dev.podflare.sandbox;

import java.time.InstantSource;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The sandboxes that are not closed, in memory and in the registry.
 *
 * <p>Which sandboxes are open, and which machine each drives, changes only here, one change at a
 * time: first in the registry, where each change is one transaction, then in memory. So whatever
 * dies in between, the registry has the old or the new; and of a close, a merge and a freeze of the
 * same sandbox at the same time one comes first, and the others see what it did.
 *
 * <p>Ends no machine: whoever makes a change ends what it frees, outside of this lock.
 */
final class OpenSandboxes {

  private final Database database;
  private final Registry registry;
  private final SpaceRegistry spaces;
  private final InstantSource clock;
  private final ReentrantLock change = new ReentrantLock();
  private final ConcurrentSkipListMap<SandboxId, Sandbox> open =
      new ConcurrentSkipListMap<>(Comparator.comparing(SandboxId::value));
  private volatile boolean full;

  OpenSandboxes(Database database, InstantSource clock) {
    this.database = database;
    this.registry = new Registry(database);
    this.spaces = new SpaceRegistry(database);
    this.clock = clock;
  }

  // ---- look ----

  Registry registry() {
    return registry;
  }

  SpaceRegistry spaces() {
    return spaces;
  }

  Optional<Sandbox> find(SandboxId id) {
    return Optional.ofNullable(open.get(id));
  }

  Sandbox require(SandboxId id) {
    return find(id).orElseThrow(() -> registry.ended(id).orElseGet(Refusals::noSandbox));
  }

  Collection<Sandbox> all() {
    return open.values();
  }

  int size() {
    return open.size();
  }

  // ---- change ----

  /** Takes no more sandboxes, and wakes none, from now on. */
  void takeNoMore() {
    full = true;
  }

  void requireTaking() {
    if (full) {
      throw Refusals.closing();
    }
  }

  /** Adds sandboxes that nobody knows yet: all, or none if this throws. */
  void add(List<Sandbox> sandboxes) {
    change.lock();
    try {
      requireTaking();
      registry.add(sandboxes.stream().map(OpenSandboxes::entry).toList());
      sandboxes.forEach(this::restore);
    } finally {
      change.unlock();
    }
  }

  /**
   * The same, and in the same transaction something else.
   *
   * @param alongside writes into the database
   */
  void add(List<Sandbox> sandboxes, Runnable alongside) {
    change.lock();
    try {
      requireTaking();
      var _ =
          database.atomically(() -> {
            sandboxes.forEach(sandbox -> registry.add(entry(sandbox)));
            alongside.run();
            return sandboxes.size();
          });
      sandboxes.forEach(this::restore);
    } finally {
      change.unlock();
    }
  }

  private static Registry.Entry entry(Sandbox sandbox) {
    Optional<MachineRecord> machine =
        sandbox.condition() instanceof Sandbox.Condition.Awake(Machine awake)
            ? Optional.of(awake.machineRecord())
            : Optional.empty();
    return new Registry.Entry(sandbox.sandboxRecord(), machine);
  }

  /** Adds a sandbox that the registry has already. */
  void restore(Sandbox sandbox) {
    open.put(sandbox.id(), sandbox);
  }

  /** Writes down that a sandbox's machine has now an identity of its own. */
  void confirmed(Sandbox sandbox, Machine machine) {
    change.lock();
    try {
      if (open.containsKey(sandbox.id())) {
        registry.drive(sandbox.id(), machine.machineRecord());
      }
    } finally {
      change.unlock();
    }
  }

  /**
   * Closes a sandbox, and deletes the Space that it sleeps in.
   *
   * @return what it was in; empty if it was closed already
   */
  Optional<Sandbox.Condition> close(SandboxId id, String reason) {
    change.lock();
    try {
      Sandbox sandbox = open.get(id);
      if (sandbox == null) {
        return Optional.empty();
      }
      Sandbox.Condition before = sandbox.condition();
      var _ =
          database.atomically(() -> {
            if (before instanceof Sandbox.Condition.Asleep(SpaceId space)) {
              spaces.delete(space, clock.instant());
            }
            return registry.close(id, clock.instant(), reason);
          });
      gone(sandbox);
      return Optional.of(before);
    } finally {
      change.unlock();
    }
  }

  private void gone(Sandbox sandbox) {
    open.remove(sandbox.id());
    sandbox.become(new Sandbox.Condition.Closed());
  }

  /**
   * The parent's id drives the winner's machine from now on, and the winner is closed. Both stand
   * still.
   *
   * @return the machine that the parent drove
   */
  Machine swap(Sandbox.Standstill parent, Sandbox.Standstill winner) throws InterruptedException {
    Machine better = winner.machine();
    Machine old = parent.machine();
    change.lock();
    try {
      requireOpen(parent.sandbox());
      requireOpen(winner.sandbox());
      registry.swap(
          parent.sandbox().id(), winner.sandbox().id(), better.machineRecord(), clock.instant());
      gone(winner.sandbox());
      parent.sandbox().become(new Sandbox.Condition.Awake(better));
      return old;
    } finally {
      change.unlock();
    }
  }

  private void requireOpen(Sandbox sandbox) {
    if (!open.containsKey(sandbox.id())) {
      throw Refusals.noSandbox();
    }
  }

  /**
   * A sandbox that stands still has become a Space: one that it sleeps in, or its user's.
   *
   * @throws SandboxException if it was closed meanwhile; the Space is nobody's then
   */
  void frozen(Sandbox sandbox, SpaceInfo space) {
    change.lock();
    try {
      requireOpen(sandbox);
      var _ = database.atomically(() -> write(space));
      if (space.heldBy().isPresent()) {
        sandbox.become(new Sandbox.Condition.Asleep(space.id()));
      } else {
        gone(sandbox);
      }
    } finally {
      change.unlock();
    }
  }

  /** The Space that a sandbox sleeps in becomes its user's, and the sandbox is closed. */
  SpaceInfo release(Sandbox sandbox, SpaceId space) {
    change.lock();
    try {
      requireOpen(sandbox);
      var _ =
          database.atomically(() -> {
            spaces.release(space);
            return registry.close(sandbox.id(), clock.instant(), "frozen");
          });
      gone(sandbox);
      return spaces.find(space).orElseThrow(Refusals::noSpace);
    } finally {
      change.unlock();
    }
  }

  /**
   * A sandbox that was asleep drives a machine again, and its Space is no more.
   *
   * @throws SandboxException if it was closed meanwhile; the machine is nobody's then
   */
  void waked(Sandbox sandbox, Machine machine, SpaceId space) {
    change.lock();
    try {
      requireTaking();
      requireOpen(sandbox);
      var _ =
          database.atomically(() -> {
            registry.drive(sandbox.id(), machine.machineRecord());
            return spaces.delete(space, clock.instant());
          });
      // Not left to the caller: a close from now on must find the machine.
      sandbox.become(new Sandbox.Condition.Awake(machine));
    } finally {
      change.unlock();
    }
  }

  /** A Space that an earlier server finished, but did not write down any more. */
  void frozenBefore(SpaceInfo space) {
    var _ = database.atomically(() -> write(space));
  }

  private boolean write(SpaceInfo space) {
    spaces.add(space);
    if (space.heldBy().isPresent()) {
      registry.driveNone(space.sandbox());
      return true;
    }
    return registry.close(space.sandbox(), clock.instant(), "frozen");
  }
}
