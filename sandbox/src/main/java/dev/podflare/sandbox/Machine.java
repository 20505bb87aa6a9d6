package dev.podflare.sandbox;

import dev.podflare.engine.Egress;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.Exit;
import dev.podflare.engine.MicroVm;
import dev.podflare.guest.AgentConnection;
import dev.podflare.guest.Entropy;
import dev.podflare.guest.GuestException;
import dev.podflare.guest.GuestExec;
import dev.podflare.guest.GuestLoss;
import dev.podflare.guest.ResyncToken;
import dev.podflare.guest.Wake;
import dev.podflare.guest.Woken;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.HexFormat;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.function.Consumer;

/**
 * A microVM and the connection to its agent.
 *
 * <p>A copy of a machine shares its random state, clock and names until its guest has taken others.
 * So the connection is given out only once the guest has confirmed an identity of its own: {@link
 * #agent()} waits for that, and whoever has a machine can let user code run in it. A copy that does
 * not confirm is ended.
 */
final class Machine implements AutoCloseable {

  private static final System.Logger LOG = System.getLogger(Machine.class.getName());
  private static final SecureRandom RANDOM = new SecureRandom();

  /** As much of the id as a person reads, and a prompt has room for. */
  private static final int HOST_NAME_LENGTH = 12;

  /** Emulated, on a loaded host, waking takes a second; beyond this the clone is broken. */
  private static final Duration WAKE_PATIENCE = Duration.ofSeconds(30);

  /** A guest's clock that is further than this from the host's was set by its user. */
  private static final Duration CLOCKS_AGREE = Duration.ofSeconds(5);

  /** A wake that has been answered in this time was heard at once, as far as a cut is concerned. */
  private static final Duration SOON = Duration.ofMillis(150);

  private final SandboxId sandbox;
  private final MicroVm microVm;
  private final ResyncToken resync;
  private final int generation;
  private final InstantSource clock;
  private final long runningSince;
  private final CompletableFuture<AgentConnection> ready = new CompletableFuture<>();
  private final Terminals terminals;
  private volatile Line line;
  private volatile String whyEnded = "";

  /**
   * A machine that runs, and has yet to {@linkplain #takeIdentity take an identity} or to be
   * {@linkplain #takeOver taken over}.
   *
   * @param sandbox what it is for; its host name comes from it
   * @param line where it comes from
   */
  Machine(
      SandboxId sandbox,
      MicroVm microVm,
      ResyncToken resync,
      int generation,
      Line line,
      InstantSource clock) {
    this(sandbox, microVm, resync, generation, line, clock, System.nanoTime());
  }

  /**
   * The same.
   *
   * @param runningSince when it was let run, by {@link System#nanoTime}
   */
  Machine(
      SandboxId sandbox,
      MicroVm microVm,
      ResyncToken resync,
      int generation,
      Line line,
      InstantSource clock,
      long runningSince) {
    this.runningSince = runningSince;
    this.sandbox = sandbox;
    this.microVm = microVm;
    this.resync = resync;
    this.generation = generation;
    this.line = line;
    this.clock = clock;
    this.terminals = new Terminals(clock, ScrollbackRoom.OF_THIS_PROCESS);
  }

  /**
   * Starts a clone of a template and wakes it. Nothing is left of it if that fails.
   *
   * @param egress what its network reaches until somebody has it
   */
  static Machine cloneOf(
      TemplateSnapshot template, Egress egress, Zygotes zygotes, InstantSource clock)
      throws EngineException, InterruptedException {
    Machine machine = asleepCloneOf(template, egress, zygotes, clock);
    try {
      machine.takeIdentity(Origin.TEMPLATE, WAKE_PATIENCE, nothingRuns -> {});
      return machine;
    } catch (GuestException e) {
      machine.close();
      throw new EngineException(
          EngineException.Kind.FAILED, "a clone did not wake: " + e.getMessage(), e);
    } catch (EngineException | InterruptedException | RuntimeException e) {
      machine.close();
      throw e;
    }
  }

  /** Starts a clone of a template, which is nobody yet. */
  static Machine asleepCloneOf(
      TemplateSnapshot template, Egress egress, Zygotes zygotes, InstantSource clock)
      throws EngineException, InterruptedException {
    return new Machine(
        SandboxId.random(),
        zygotes.fork(template, egress),
        template.resync(),
        0,
        Line.ORIGIN,
        clock);
  }

  /** What a machine is a copy of. */
  enum Origin {
    /** Nobody waits for it. It is warmed, since it may wait long for its user. */
    TEMPLATE,
    /** It is waited for, and may have all that its user left in it, connections included. */
    SANDBOX
  }

  /**
   * Gives the copy of a machine fresh entropy, the time, a name and an address of its own, and cuts
   * the network connections that it shares with what it was copied from. Returns when the guest has
   * confirmed; if it does not, the machine is ended.
   *
   * @param goingOn hears of the code that goes on in it from before, if there is such, before
   *     anybody gets to the agent
   */
  void takeIdentity(Origin origin, Duration patience, Consumer<GuestExec> goingOn)
      throws EngineException, GuestException, InterruptedException {
    boolean ofSandbox = origin == Origin.SANDBOX;
    connect(
        "its copy did not confirm an identity of its own.",
        agent -> {
          long sent = System.nanoTime();
          // Also of a template's clone: what a user built may have connections.
          Woken woken = agent.wake(wake(Map.of(), randomAddress(), true, !ofSandbox), patience);
          Duration ran = Duration.ofNanos(sent - runningSince);
          boolean heardSoon = System.nanoTime() - sent < SOON.toNanos();
          line = line.lastCutAt(instantOfCut(woken.guestTime().minus(ran), heardSoon));
          if (woken.running()) {
            agent.rejoin().ifPresent(goingOn);
          }
          if (woken.terminals()) {
            terminals.takeOver(agent);
          }
        });
  }

  /**
   * Takes over a machine that another server left: it is the same machine, so nothing of it is
   * changed.
   *
   * @param goingOn as in {@link #takeIdentity}
   */
  void takeOver(Consumer<GuestExec> goingOn)
      throws EngineException, GuestException, InterruptedException {
    connect(
        "its guest did not answer when the server was back.",
        agent -> {
          agent.rejoin().ifPresent(goingOn);
          terminals.takeOver(agent);
        });
  }

  private interface FirstWords {
    void speakTo(AgentConnection agent) throws GuestException, InterruptedException;
  }

  private void connect(String otherwise, FirstWords words)
      throws EngineException, GuestException, InterruptedException {
    boolean understood = false;
    try {
      AgentConnection agent =
          AgentConnection.resume(microVm.attach(), resync, AgentConnection.DEFAULT_PATIENCE);
      var _ = agent.lost().thenAccept(this::endIfHostile);
      words.speakTo(agent);
      understood = ready.complete(agent);
    } finally {
      if (!understood) {
        lose(otherwise);
      }
    }
  }

  /**
   * The cut by the guest's clock, which files have their times from. What the guest says includes
   * the time until it heard us. If that may have been long, what the host's clock said at the cut
   * is better, unless the user has set the guest's clock; but emulated, a guest's clock is ahead of
   * it by some hundredths of a second after minutes.
   */
  private Instant instantOfCut(Instant byGuest, boolean heardSoon) {
    Instant byHost = line.cuts().isEmpty() ? byGuest : line.cuts().getLast().at();
    boolean agree = Duration.between(byHost, byGuest).abs().compareTo(CLOCKS_AGREE) < 0;
    return !heardSoon && agree && byHost.isBefore(byGuest) ? byHost : byGuest;
  }

  /** For one that is to be copied: goes once the way that its copies begin with. */
  void reachOnce() throws EngineException, GuestException, InterruptedException {
    takeIdentity(Origin.TEMPLATE, WAKE_PATIENCE, nothingRuns -> {});
    giveEnvironment(Map.of());
  }

  /** Gives the guest environment variables for all that it will run, and the time once more. */
  void giveEnvironment(Map<String, String> env) throws GuestException, InterruptedException {
    var _ = agent().wake(wake(env, "", false, false), WAKE_PATIENCE);
  }

  private Wake wake(Map<String, String> env, String address, boolean severed, boolean rehearsed) {
    String hostname = sandbox.value().substring(0, HOST_NAME_LENGTH).replace('_', '-');
    return new Wake(
        Entropy.fresh(), clock.instant(), hostname, env, generation, address, severed, rehearsed);
  }

  /** In the range that QEMU and KVM use, administered locally. */
  private static String randomAddress() {
    byte[] bytes = new byte[3];
    RANDOM.nextBytes(bytes);
    return "52:54:00:" + HexFormat.ofDelimiter(":").formatHex(bytes);
  }

  /** An agent that breaks the protocol is somebody else's by now. */
  private void endIfHostile(GuestLoss loss) {
    if (loss.kind() == GuestLoss.Kind.VIOLATION) {
      LOG.log(
          System.Logger.Level.WARNING,
          "sandbox "
              + sandbox
              + " is stopped, because its guest broke the protocol: "
              + loss.sentence());
    }
    if (loss.kind() != GuestLoss.Kind.CLOSED_BY_HOST) {
      Thread.ofVirtual().start(this::close);
    }
  }

  /** The sandbox that this machine was made for. A merge may have given it to another one. */
  SandboxId sandbox() {
    return sandbox;
  }

  MicroVm microVm() {
    return microVm;
  }

  /**
   * The connection to its agent, once the guest has confirmed that it is itself; otherwise the
   * refusal says why it did not.
   */
  AgentConnection agent() throws InterruptedException {
    try {
      return ready.get();
    } catch (ExecutionException ended) {
      throw Refusals.lost(whyEnded());
    }
  }

  /** Whether it has an identity of its own, or has ended before it had. */
  boolean isAwake() {
    return ready.isDone();
  }

  /** Those that its guest had when it was copied are there once its {@link #agent()} is. */
  Terminals terminals() {
    return terminals;
  }

  int generation() {
    return generation;
  }

  ResyncToken resync() {
    return resync;
  }

  Line line() {
    return line;
  }

  /** What to write down of it. */
  MachineRecord machineRecord() {
    return new MachineRecord(
        microVm.id(),
        resync,
        generation,
        line,
        ready.isDone() && !ready.isCompletedExceptionally());
  }

  CompletableFuture<Exit> exit() {
    return microVm.exit();
  }

  /**
   * Whether nothing can be done with it any more. A machine whose agent is lost is as good as
   * ended: code is told so before all that it held of the host is given back.
   */
  boolean hasEnded() {
    return microVm.exit().isDone()
        || (ready.isDone() && !ready.isCompletedExceptionally() && ready.join().isLost());
  }

  /** Why it has ended, as the end of a sentence for its user. */
  String whyEnded() {
    if (!whyEnded.isEmpty() || !hasEnded()) {
      return whyEnded;
    }
    return switch (exit().join().cause()) {
      case GUEST_ENDED -> "it powered off, or its kernel panicked.";
      case CRASHED -> "its virtual machine monitor died.";
      case STOPPED -> "it was stopped.";
    };
  }

  /** Ends it, because something in it can't be trusted or does not end. */
  void lose(String why) {
    if (whyEnded.isEmpty() && !hasEnded()) {
      whyEnded = why;
    }
    close();
  }

  @Override
  public void close() {
    microVm.close();
    if (!ready.completeExceptionally(new IllegalStateException("the machine has ended"))
        && !ready.isCompletedExceptionally()) {
      ready.join().close();
    }
    terminals.close();
  }
}
