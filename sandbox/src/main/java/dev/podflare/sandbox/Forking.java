package dev.podflare.sandbox;

import dev.podflare.engine.Engine;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.MicroVmId;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Makes live copies of a sandbox.
 *
 * <p>Until they all run and stand in the registry nobody knows of them, so a fork that fails leaves
 * nothing: a machine that no row names is ended at the next start of the server, if not by us. Then
 * each child's guest takes an identity of its own, and the child's first call waits for that
 * ({@link Sandbox#settle}).
 */
final class Forking {

  private static final Duration WAKE_PATIENCE = Duration.ofSeconds(30);

  /** Every child shares the processors with all others that wake up. */
  private static final Duration WAKE_PATIENCE_PER_CHILD = Duration.ofSeconds(2);

  /** Code that goes on may sit in a call of C for long; it must take its entropy all the same. */
  private static final Duration BUSY_PATIENCE = Duration.ofMinutes(10);

  /** Who has waited for a turn to wake up for as long wakes up beside the others. */
  private static final Duration LONGEST_TURN = Duration.ofSeconds(2);

  /** Lets a machine that runs become a sandbox's. */
  interface Assembly {
    Sandbox of(SandboxRecord sandboxRecord, Machine machine);
  }

  /**
   * Waking up takes a processor. Were all children of a fork to do it at once, the first would be
   * ready no sooner than the last.
   */
  private final Semaphore waking = new Semaphore(Runtime.getRuntime().availableProcessors(), true);

  private final Engine engine;
  private final OpenSandboxes open;
  private final Room room;
  private final InstantSource clock;
  private final AscendingClock births;
  private final Assembly assembly;
  private final Lifetimes lifetimes;

  Forking(
      Engine engine,
      OpenSandboxes open,
      Room room,
      InstantSource clock,
      AscendingClock births,
      Assembly assembly,
      Lifetimes lifetimes) {
    this.engine = engine;
    this.open = open;
    this.room = room;
    this.clock = clock;
    this.births = births;
    this.assembly = assembly;
    this.lifetimes = lifetimes;
  }

  /** Writes down what a fork has made, in the transaction that makes its children known. */
  interface Note {
    void write(Fork fork);
  }

  /**
   * @param note if there is one to write
   * @throws SandboxException if not all children could be made; none is then
   */
  Fork fork(Sandbox parent, int n, Optional<Note> note) throws InterruptedException {
    if (n < 1 || n > 100) {
      throw Refusals.invalid(
          "n", "n must be from 1 to 100, but is " + n + ".", "Fork several times for more.");
    }
    long begun = System.nanoTime();
    open.requireTaking();
    room.require(n);
    try (Sandbox.Use use = parent.use()) {
      // A parent that is a copy itself must be somebody before it is copied.
      var _ = use.agent();
      return fork(parent, use.machine(), n, begun, note);
    } catch (EngineException e) {
      throw Refusals.of(e);
    }
  }

  private Fork fork(Sandbox parent, Machine machine, int n, long begun, Optional<Note> note)
      throws EngineException, InterruptedException {
    dev.podflare.engine.Fork forked =
        engine.fork(machine.microVm(), parent.sandboxRecord().egress(), n);
    // Asked after the cut: code that began meanwhile makes us more patient than needed, no more.
    Optional<RunningExec> code = parent.running();
    Instant cut = clock.instant().minusNanos(System.nanoTime() - forked.cutNanos());
    Line line = machine.line().with(new Line.Cut(MicroVmId.random().value(), cut));
    List<Machine> machines = machinesOf(forked, machine, line);
    boolean known = false;
    try {
      Instant born = births.instant();
      List<Sandbox> children =
          machines.stream().map(child -> childOf(parent, child, born)).toList();
      Duration patience =
          code.isPresent()
              ? BUSY_PATIENCE
              : WAKE_PATIENCE.plus(WAKE_PATIENCE_PER_CHILD.multipliedBy(n));
      Duration running = Duration.ofNanos(System.nanoTime() - begun);
      Fork fork =
          new Fork(
              children.stream()
                  .map(child -> child.infoWhenNew(engine.facts().isolation()))
                  .toList(),
              forked.pause(),
              running);
      if (note.isPresent()) {
        open.add(children, () -> note.get().write(fork));
      } else {
        open.add(children);
      }
      known = true;
      for (int i = 0; i < n; i++) {
        settle(
            children.get(i),
            machines.get(i),
            patience,
            code.isPresent(),
            code.flatMap(RunningExec::timeLeft));
      }
      return fork;
    } finally {
      if (!known) {
        machines.forEach(Machine::close);
      }
    }
  }

  private Sandbox childOf(Sandbox parent, Machine machine, Instant born) {
    SandboxRecord child = parent.sandboxRecord().descendant(machine.sandbox(), born);
    Sandbox sandbox = assembly.of(child, machine);
    sandbox.reserveTurn();
    return sandbox;
  }

  private void settle(
      Sandbox child,
      Machine machine,
      Duration patience,
      boolean busy,
      Optional<Duration> timeLeft) {
    child.settle(
        goingOn -> {
          // Code that goes on may make its confirmation late, and must not hold up others.
          boolean inTurn =
              !busy && waking.tryAcquire(LONGEST_TURN.toMillis(), TimeUnit.MILLISECONDS);
          try {
            machine.takeIdentity(Machine.Origin.SANDBOX, patience, goingOn);
          } finally {
            if (inTurn) {
              waking.release();
            }
          }
          open.confirmed(child, machine);
        },
        timeLeft);
    lifetimes.watch(child);
  }

  private List<Machine> machinesOf(dev.podflare.engine.Fork forked, Machine machine, Line line) {
    int n = forked.children().size();
    // Children have one moment of birth, so they are listed by their ids, so these are in the order
    // of the answer.
    List<SandboxId> ids =
        Stream.generate(SandboxId::random)
            .limit(n)
            .sorted(Comparator.comparing(SandboxId::value))
            .toList();
    return IntStream.range(0, n)
        .mapToObj(child ->
            new Machine(
                ids.get(child),
                forked.children().get(child),
                machine.resync(),
                machine.generation() + 1,
                line,
                clock,
                forked.runningSinceNanos().get(child)))
        .toList();
  }
}
