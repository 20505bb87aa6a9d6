package dev.podflare.sandbox;

import dev.podflare.engine.EngineException;
import dev.podflare.engine.Exit;
import dev.podflare.engine.Isolation;
import dev.podflare.engine.Usage;
import dev.podflare.guest.AgentConnection;
import dev.podflare.guest.CancelReason;
import dev.podflare.guest.ExecCall;
import dev.podflare.guest.GuestException;
import dev.podflare.guest.GuestExec;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * One sandbox that is not closed.
 *
 * <p><b>States.</b> It is <i>awake</i> as long as it drives a machine that lives, <i>asleep</i>
 * while it is frozen in a Space, <i>lost</i> once its machine has ended by itself. A lost sandbox
 * keeps its id until it is closed, so that its user learns what happened instead of a plain "not
 * found".
 *
 * <p><b>Its machine can change</b>: a merge gives it another one, sleep takes it away, and the next
 * use brings it back. Whoever wants something of the machine holds a {@link Use}, and whoever
 * changes it holds the {@link Standstill}, which lets no use in: so a use sees the old machine or
 * the new one, and never the change.
 *
 * <p><b>Who may touch what.</b> Execs take turns, in the order in which they came: {@link #turn} is
 * held from before the code goes to the guest until the guest says that it ended, also when nobody
 * reads its events. All else (files, interrupts, background commands) goes to the agent side by
 * side with a running exec. Locks are taken in this order: turn, gate; of several sandboxes, those
 * of the lower id first.
 *
 * <p><b>Idle</b> is a sandbox in which nothing goes on; the time counts from the end of the last
 * use.
 */
final class Sandbox {

  private static final System.Logger LOG = System.getLogger(Sandbox.class.getName());
  private static final Usage NOTHING_USED = new Usage(0, Duration.ZERO, 0);

  /** A call whose turn comes within this is answered as if it had not waited. */
  private static final Duration SOON = Duration.ofMillis(20);

  /** The same where no code has the turn: a copy wakes up, a fork or a merge goes on. */
  private static final Duration UNTIL_WOKEN = Duration.ofSeconds(5);

  private static final Duration ENDLESS = Duration.ofNanos(Long.MAX_VALUE);
  private static final Duration LEAST_LEFT = Duration.ofMillis(1);

  /** How long a transfer that dawdles may keep a machine from being changed. */
  private static final Duration TRANSFERS_END = Duration.ofSeconds(10);

  /** Brings back the machine of a sandbox that is asleep. */
  interface Waker {
    /**
     * Lets the sandbox drive a machine again.
     *
     * @throws SandboxException if it can't be waked; it is asleep as before then
     */
    void wake(Sandbox sandbox, SpaceId space) throws InterruptedException;
  }

  /** What a sandbox is in. */
  sealed interface Condition {

    /** It drives a machine, which may have ended. */
    record Awake(Machine machine) implements Condition {}

    /** The next use wakes it. */
    record Asleep(SpaceId space) implements Condition {}

    /** Its machine ended with an earlier server. */
    record Lost(String why) implements Condition {}

    /** It is no more; somebody may still hold this object. */
    record Closed() implements Condition {}
  }

  private final SandboxRecord sandboxRecord;
  private final InstantSource clock;
  private final Timer timer;
  private final Waker waker;
  private final Gate gate = new Gate();
  private final Turns turn = new Turns();
  private final Execs execs;
  private final AtomicReference<@Nullable RunningExec> running = new AtomicReference<>();
  private final AtomicInteger uses = new AtomicInteger();
  private final AtomicInteger failedWakings = new AtomicInteger();
  private volatile @Nullable SandboxException lastFailure;
  private volatile Condition condition;
  private volatile int generation;
  private volatile Instant lastUsed;
  private volatile @Nullable Measurement lastMeasurement;

  /** Those that an earlier server wrote down, until it is known what became of them. */
  private List<Exec> recalled = List.of();

  /**
   * @param generation what its machine has, or had
   */
  Sandbox(
      SandboxRecord sandboxRecord,
      Condition condition,
      int generation,
      InstantSource clock,
      Timer timer,
      Waker waker,
      ExecKeeping keeping) {
    this.sandboxRecord = sandboxRecord;
    this.condition = condition;
    this.generation = generation;
    this.clock = clock;
    this.timer = timer;
    this.waker = waker;
    this.execs = new Execs(sandboxRecord.id(), keeping);
    this.lastUsed = clock.instant();
    if (condition instanceof Condition.Awake(Machine machine)) {
      tellOfTheEndOf(machine);
    }
  }

  SandboxRecord sandboxRecord() {
    return sandboxRecord;
  }

  SandboxId id() {
    return sandboxRecord.id();
  }

  Condition condition() {
    return condition;
  }

  // ---- use ----

  /** Something that is going on in a sandbox: it keeps its machine, and is not idle. */
  final class Use implements AutoCloseable {

    private final Machine machine;
    private final Gate.Pass pass;

    private Use(Machine machine, Gate.Pass pass) {
      this.machine = machine;
      this.pass = pass;
    }

    /** The machine that the sandbox drives for as long as this is open. */
    Machine machine() {
      return machine;
    }

    /** The machine's agent, once its guest has an identity of its own. */
    AgentConnection agent() throws InterruptedException {
      return machine.agent();
    }

    /** From now on its machine may be changed; but the sandbox is not idle. */
    void letMachineChange() {
      pass.close();
    }

    @Override
    public void close() {
      pass.close();
      noLongerUsed();
    }
  }

  /** Waits while its machine is changed, and wakes it if it is asleep. */
  Use use() throws InterruptedException {
    uses.incrementAndGet();
    boolean inside = false;
    try {
      while (true) {
        int failures = failedWakings.get();
        Optional<Use> use = useIfAwake();
        if (use.isPresent()) {
          inside = true;
          return use.get();
        }
        wakeUp(failures);
      }
    } finally {
      if (!inside) {
        noLongerUsed();
      }
    }
  }

  /** Somebody is there: until this is closed it is not idle. Its machine may change meanwhile. */
  final class Attendance implements AutoCloseable {

    private final AtomicBoolean over = new AtomicBoolean();

    private Attendance() {}

    @Override
    public void close() {
      if (over.compareAndSet(false, true)) {
        noLongerUsed();
      }
    }
  }

  Attendance attend() {
    uses.incrementAndGet();
    return new Attendance();
  }

  private void noLongerUsed() {
    lastUsed = clock.instant();
    uses.decrementAndGet();
  }

  private Optional<Use> useIfAwake() throws InterruptedException {
    Gate.Pass pass = gate.enter();
    boolean inside = false;
    try {
      if (condition instanceof Condition.Asleep) {
        return Optional.empty();
      }
      Use use = new Use(machine(), pass);
      inside = true;
      return Optional.of(use);
    } finally {
      if (!inside) {
        pass.close();
      }
    }
  }

  /** The machine that lives; otherwise the refusal says why there is none. */
  private Machine machine() {
    return switch (condition) {
      case Condition.Awake(Machine machine) when !machine.hasEnded() -> machine;
      case Condition.Awake(Machine ended) -> throw Refusals.lost(ended.whyEnded());
      case Condition.Lost(String why) -> throw Refusals.lost(why);
      case Condition.Asleep _ -> throw Refusals.busy("is being frozen");
      case Condition.Closed() -> throw Refusals.noSandbox();
    };
  }

  /**
   * Wakes it, unless somebody else did meanwhile. Who waited while somebody else failed fails with
   * it, as one after the other would fail for minutes.
   */
  private void wakeUp(int failuresBefore) throws InterruptedException {
    try (Gate.Pass _ = alone()) {
      if (condition instanceof Condition.Asleep(SpaceId space)) {
        SandboxException failure = lastFailure;
        if (failure != null && failedWakings.get() != failuresBefore) {
          throw failure;
        }
        try {
          waker.wake(this, space);
        } catch (SandboxException e) {
          lastFailure = e;
          failedWakings.incrementAndGet();
          throw e;
        }
      }
    }
  }

  private Gate.Pass alone() throws InterruptedException {
    return gate.enterAlone(TRANSFERS_END)
        .orElseThrow(() -> Refusals.busy("has a file transfer going on"));
  }

  // ---- change of the machine ----

  /** The turn of code, taken by somebody who runs none. Its sandbox is not idle. */
  final class Turn implements AutoCloseable {

    private Turn() {}

    @Override
    public void close() {
      turn.release();
      noLongerUsed();
    }
  }

  /** Waits for its turn like an exec, so that no code runs until it is closed. */
  Turn turn() throws InterruptedException {
    return turn(Duration.ofNanos(Long.MAX_VALUE));
  }

  /**
   * @param longest how long to wait; then it is refused
   */
  Turn turn(Duration longest) throws InterruptedException {
    uses.incrementAndGet();
    boolean mine = false;
    try {
      mine = turn.queue().await(longest);
      if (!mine) {
        throw Refusals.busy("runs code");
      }
      return new Turn();
    } finally {
      if (!mine) {
        noLongerUsed();
      }
    }
  }

  /** Nothing goes on in a sandbox, and nothing begins, until this is closed. */
  final class Standstill implements AutoCloseable {

    private final Gate.Pass pass;

    private Standstill(Gate.Pass pass) {
      this.pass = pass;
    }

    /** The machine; waked if the sandbox was asleep. */
    Machine machine() throws InterruptedException {
      if (condition instanceof Condition.Asleep(SpaceId space)) {
        waker.wake(Sandbox.this, space);
      }
      return Sandbox.this.machine();
    }

    Sandbox sandbox() {
      return Sandbox.this;
    }

    @Override
    public void close() {
      pass.close();
    }
  }

  /**
   * Waits until all that goes on beside code has ended.
   *
   * @param turn of this sandbox, since code would not end for this
   */
  Standstill standstill(Turn turn) throws InterruptedException {
    Objects.requireNonNull(turn);
    return new Standstill(alone());
  }

  /**
   * From now on it is in another condition. For {@link OpenSandboxes}, which keeps the registry.
   */
  void become(Condition next) {
    condition = next;
    if (next instanceof Condition.Awake(Machine machine)) {
      generation = machine.generation();
      tellOfTheEndOf(machine);
    }
    if (next instanceof Condition.Closed) {
      execs.close();
    }
  }

  private void tellOfTheEndOf(Machine machine) {
    var _ =
        machine
            .exit()
            .thenAccept(exit -> {
              boolean still =
                  condition instanceof Condition.Awake(Machine present) && present == machine;
              if (still && exit.cause() != Exit.Cause.STOPPED) {
                LOG.log(
                    System.Logger.Level.WARNING, "sandbox " + id() + " is lost: " + exit.detail());
              }
            });
  }

  // ---- code ----

  /** Keeps all code waiting until {@link #settle} is through. */
  void reserveTurn() {
    if (!turn.tryTake()) {
      throw new IllegalStateException("others have this sandbox already");
    }
  }

  /** Brings the machine into a state in which it can be used, and says what goes on in it. */
  interface Settling {
    void settle(Consumer<GuestExec> goingOn)
        throws EngineException, GuestException, InterruptedException;
  }

  /**
   * Lets a machine take its identity, or be taken over, while others already have this sandbox.
   * Their code waits for its turn until then, and until code that goes on from before has ended.
   * {@link #reserveTurn()} must have been called before anybody had it.
   *
   * @param timeLeft of code that goes on
   */
  void settle(Settling settling, Optional<Duration> timeLeft) {
    Thread.ofVirtual()
        .name("settle-" + id())
        .start(() -> {
          boolean[] codeHasTurn = {false};
          try {
            settling.settle(guest -> codeHasTurn[0] = follow(guest, timeLeft));
            followBackground();
          } catch (EngineException | GuestException | RuntimeException e) {
            if (!(condition instanceof Condition.Closed)) {
              LOG.log(System.Logger.Level.WARNING, "sandbox " + id() + " is lost", e);
            }
          } catch (InterruptedException stopping) {
            Thread.currentThread().interrupt();
          } finally {
            recalled.forEach(exec -> exec.endBecause("it ended while no server ran", isAlive()));
            recalled = List.of();
            if (!codeHasTurn[0]) {
              turn.release();
            }
          }
        });
  }

  /**
   * Tells it what an earlier server wrote down of its execs. Before anybody has it, and before it
   * {@linkplain #settle settles}.
   */
  void recall(List<ExecRecord> known) {
    List<Exec> running = new ArrayList<>();
    for (ExecRecord one : known) {
      Exec exec = execs.known(one);
      if (one.startedAt().isEmpty()) {
        exec.endBecause(
            "the server was restarted before its turn came, and it never ran", isAlive());
      } else if (condition instanceof Condition.Awake) {
        running.add(exec);
      } else {
        exec.endBecause("its machine ended with the server", false);
      }
    }
    recalled = List.copyOf(running);
  }

  /** Code of before, which has the turn until it ends. */
  private boolean follow(GuestExec guest, Optional<Duration> timeLeft) {
    try {
      Optional<Exec> known =
          recalled.stream().filter(exec -> !exec.isBackground()).reduce((earlier, later) -> later);
      RunningExec code = new RunningExec(this, guest, use(), clock, timer, timeLeft, true, false);
      running.set(code);
      code.begin();
      follow(known.orElseGet(execs::found), code);
      return true;
    } catch (InterruptedException stopping) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  private void follow(Exec exec, RunningExec code) {
    recalled = recalled.stream().filter(other -> other != exec).toList();
    exec.followed(code);
  }

  /** The background commands of before that go on. */
  private void followBackground() throws GuestException, InterruptedException {
    for (Exec exec : recalled) {
      Optional<Integer> number = exec.isBackground() ? exec.numberOfBefore() : Optional.empty();
      if (number.isPresent()) {
        Use use = use();
        Optional<GuestExec> guest = Optional.empty();
        try {
          guest = use.agent().rejoin(number.get());
        } finally {
          if (guest.isEmpty()) {
            use.close();
          }
        }
        if (guest.isPresent()) {
          use.letMachineChange();
          follow(
              exec,
              new RunningExec(
                  this, guest.get(), use, clock, timer, Optional.empty(), false, false));
        }
      }
    }
  }

  /**
   * Starts code, once its turn has come. If that is not soon, the answer comes before it, and says
   * that the code waits.
   *
   * @return its events
   */
  ExecStream exec(ExecRequest request) throws InterruptedException, GuestException {
    Instant asked = clock.instant();
    uses.incrementAndGet();
    boolean waits = false;
    try {
      Exec exec = execs.attended(request);
      boolean known = false;
      try {
        Turns.Place place = turn.queue();
        exec.waitsAt(place);
        if (place.settlesWithin(Duration.ZERO)
            || place.settlesWithin(beforeTheAnswer(left(request, Optional.of(asked))))) {
          if (begin(exec, request, place, Optional.of(asked))) {
            exec.letWrite();
          }
        } else {
          exec.tellWaiting();
          waits = true;
        }
        ExecStream events = exec.read(0);
        if (waits) {
          Thread.ofVirtual()
              .name("exec-" + exec.id())
              .start(() -> {
                if (beginOrEnd(exec, request, place, Optional.of(asked))) {
                  exec.letWrite();
                }
              });
        }
        known = true;
        return events;
      } finally {
        if (!known) {
          exec.endBecause("it could not begin", isAlive());
          execs.forget(exec);
        }
      }
    } finally {
      if (!waits) {
        noLongerUsed();
      }
    }
  }

  /**
   * Starts code that nobody waits with.
   *
   * @param background whether it runs beside all others, instead of in its turn
   */
  ExecInfo start(ExecRequest request, boolean background) {
    if (!(condition instanceof Condition.Asleep)) {
      var _ = machine();
    }
    Exec exec = execs.unattended(request, background);
    exec.writeDown();
    // Whoever asks next comes behind it.
    Turns.Place place = (background ? new Turns() : turn).queue();
    uses.incrementAndGet();
    exec.waitsAt(place);
    Thread.ofVirtual().name("exec-" + exec.id()).start(() -> startAndFollow(exec, request, place));
    return exec.info();
  }

  private void startAndFollow(Exec exec, ExecRequest request, Turns.Place place) {
    try {
      // Nobody waits for it, so its time limit is that of its code.
      if (beginOrEnd(exec, request, place, Optional.empty())) {
        exec.writeToTheEnd();
      }
    } catch (InterruptedException stopping) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * Begins it, or has it end with the reason why it does not. Ends the use that its asker began.
   */
  private boolean beginOrEnd(
      Exec exec, ExecRequest request, Turns.Place place, Optional<Instant> asked) {
    boolean begun = false;
    try {
      begun = begin(exec, request, place, asked);
    } catch (SandboxException | GuestException refused) {
      exec.endBecause("it could not begin. " + refused.getMessage(), isAlive());
    } catch (InterruptedException stopping) {
      Thread.currentThread().interrupt();
    } finally {
      noLongerUsed();
      if (!begun) {
        exec.endBecause("it could not begin", isAlive());
      }
    }
    return begun;
  }

  /**
   * Waits for the turn, and begins.
   *
   * @param asked from when its time limit counts, the wait included; empty if from its beginning
   * @return false if it was interrupted before, or waited for too long
   */
  private boolean begin(Exec exec, ExecRequest request, Turns.Place place, Optional<Instant> asked)
      throws GuestException, InterruptedException {
    Duration longest = asked.isEmpty() ? ENDLESS : left(request, asked).orElse(ENDLESS);
    if (!place.await(longest)) {
      exec.endBeforeItBegan();
      return false;
    }
    boolean started = false;
    try {
      begin(exec, request, left(request, asked));
      started = true;
      return true;
    } finally {
      if (!started && !exec.isBackground()) {
        turn.release();
      }
    }
  }

  /** How long a call waits for its turn before it is answered that it waits. */
  private Duration beforeTheAnswer(Optional<Duration> limit) {
    Duration usual = execs.running().isPresent() ? SOON : UNTIL_WOKEN;
    return limit.filter(left -> left.compareTo(usual) < 0).orElse(usual);
  }

  private Optional<Duration> left(ExecRequest request, Optional<Instant> asked) {
    return request
        .timeout()
        .map(limit ->
            asked
                .map(since -> limit.minus(Duration.between(since, clock.instant())))
                .map(left -> left.isPositive() ? left : LEAST_LEFT)
                .orElse(limit));
  }

  private void begin(Exec exec, ExecRequest request, Optional<Duration> limit)
      throws GuestException, InterruptedException {
    ExecCall.Language language =
        switch (request.language()) {
          case PYTHON -> ExecCall.Language.PYTHON;
          case BASH -> ExecCall.Language.BASH;
        };
    boolean inTurn = !exec.isBackground();
    Use use = use();
    boolean started = false;
    try {
      GuestExec guest =
          use.agent()
              .exec(
                  new ExecCall(
                      language,
                      request.code(),
                      request.env(),
                      request.cwd(),
                      !inTurn,
                      false,
                      Optional.of(clock.instant())));
      RunningExec code = new RunningExec(this, guest, use, clock, timer, limit, inTurn, true);
      started = true;
      if (inTurn) {
        running.set(code);
      } else {
        use.letMachineChange();
      }
      code.begin();
      exec.begun(code);
    } finally {
      if (!started) {
        use.close();
      }
    }
  }

  /** Called once by each exec when the guest has said that it ended, or is gone. */
  void ended(RunningExec exec) {
    if (exec.hasTurn()) {
      running.compareAndSet(exec, null);
      turn.release();
    }
  }

  Execs execs() {
    return execs;
  }

  /** The code that runs now. */
  Optional<RunningExec> running() {
    return Optional.ofNullable(running.get());
  }

  /** Stops what runs. Passes those by who wait for a standstill, as they may wait for just this. */
  void interrupt() throws InterruptedException {
    uses.incrementAndGet();
    try {
      if (!(condition instanceof Condition.Asleep)) {
        // A copy knows only now what runs in it.
        var _ = machine().agent();
        running().ifPresent(exec -> exec.cancel(CancelReason.INTERRUPT));
      }
    } finally {
      noLongerUsed();
    }
  }

  // ---- look ----

  /** How long it may still stay unused; zero or less if that time is over. */
  Duration idleTimeLeft() {
    Instant since = uses.get() > 0 ? clock.instant() : lastUsed;
    return Duration.between(clock.instant(), since.plus(sandboxRecord.idleTimeout()));
  }

  /**
   * Whether a program runs on one of its terminals, which is a use of it also when nobody reads
   * that. A shell at its prompt is none. Asks the guest, if there is a terminal to ask about.
   */
  boolean isUsedByTerminals() {
    if (!(condition instanceof Condition.Awake(Machine machine)) || machine.hasEnded()) {
      return false;
    }
    boolean isBusy = machine.terminals().isBusyIn(machine);
    if (isBusy) {
      lastUsed = clock.instant();
    }
    return isBusy;
  }

  private boolean isAlive() {
    return condition instanceof Condition.Asleep
        || (condition instanceof Condition.Awake(Machine machine) && !machine.hasEnded());
  }

  /** Whether it is frozen when it is idle, instead of closed. */
  boolean canSleep() {
    return sandboxRecord.persistent()
        && condition instanceof Condition.Awake(Machine machine)
        && !machine.hasEnded();
  }

  /** Whether nobody but the holder of its turn has used it for as long as its idle timeout. */
  boolean isIdleBut(Turn turn) {
    Objects.requireNonNull(turn);
    return uses.get() == 1 && !clock.instant().isBefore(lastUsed.plus(sandboxRecord.idleTimeout()));
  }

  int generation() {
    return generation;
  }

  /** Empty once the machine has ended. */
  private Optional<Usage> usage(Machine machine) {
    if (machine.hasEnded()) {
      return Optional.empty();
    }
    Instant now = clock.instant();
    Measurement last = lastMeasurement;
    if (last != null && last.stands(machine.microVm(), lastUsed, now)) {
      return Optional.of(last.usage());
    }
    try {
      Usage usage = machine.microVm().usage();
      lastMeasurement = new Measurement(machine.microVm().id(), usage, now);
      return Optional.of(usage);
    } catch (EngineException e) {
      return machine.hasEnded() ? Optional.empty() : Optional.of(NOTHING_USED);
    }
  }

  /**
   * All that is known of it. Measuring what it uses takes milliseconds, so that is done once a
   * second at most while nobody uses it.
   */
  SandboxInfo info(Isolation isolation) {
    return switch (condition) {
      case Condition.Awake(Machine machine) ->
          usage(machine)
              .map(usage -> info(isolation, stateAwake(), usage))
              .orElseGet(() -> info(isolation, SandboxInfo.State.LOST, NOTHING_USED));
      case Condition.Asleep _ -> info(isolation, SandboxInfo.State.FROZEN, NOTHING_USED);
      case Condition.Lost _, Condition.Closed _ ->
          info(isolation, SandboxInfo.State.LOST, NOTHING_USED);
    };
  }

  /** What is known of it when it has just been created, and has not used anything. */
  SandboxInfo infoWhenNew(Isolation isolation) {
    return info(isolation, stateAwake(), NOTHING_USED);
  }

  private SandboxInfo.State stateAwake() {
    return running.get() != null ? SandboxInfo.State.RUNNING : SandboxInfo.State.READY;
  }

  private SandboxInfo info(Isolation isolation, SandboxInfo.State state, Usage usage) {
    return new SandboxInfo(
        id(),
        sandboxRecord.owner(),
        state,
        sandboxRecord.template(),
        isolation,
        sandboxRecord.createdAt(),
        uses.get() > 0 ? clock.instant() : lastUsed,
        sandboxRecord.idleTimeout(),
        sandboxRecord.maxLifetime(),
        sandboxRecord.persistent(),
        sandboxRecord.family(),
        sandboxRecord.parent(),
        generation,
        sandboxRecord.shape(),
        usage.privateMemoryBytes(),
        usage.cpuTime(),
        sandboxRecord.egress(),
        sandboxRecord.metadata());
  }
}
