package dev.podflare.sandbox;

import dev.podflare.engine.Egress;
import dev.podflare.engine.Engine;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.Snapshot;
import dev.podflare.guest.CancelReason;
import dev.podflare.guest.ExecCall;
import dev.podflare.guest.GuestEvent;
import dev.podflare.guest.GuestException;
import dev.podflare.guest.GuestExec;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * One build of a template, from a clone of its base to a snapshot that is kept.
 *
 * <p>In a machine of its own: packages, script and warm-up run one after the other, and the first
 * one that fails ends the build. Then the machine is frozen, and a clone of the snapshot must wake
 * up before the snapshot takes the place of the build before; that clone is the first one that
 * waits for its user. Whatever happens on the way, nothing is left but the reason.
 */
final class RunningBuild {

  private static final System.Logger LOG = System.getLogger(RunningBuild.class.getName());

  /** The guest's own 5 s to stop code, and time for a slow host to tell. */
  private static final Duration OBEDIENCE = Duration.ofSeconds(20);

  private static final int TIMED_OUT = 124;
  private static final int KILLED = 137;

  /** Of what was said last, in the reason of a failure. */
  private static final int TAIL = 500;

  /** What is made of a build that is whole. */
  interface Delivery {
    /**
     * Lets it take the place of the one before.
     *
     * @param proof a clone of it, which woke up; the receiver's from now on
     */
    void take(TemplateRecord template, Machine proof) throws IOException;
  }

  /** A build ends before its end, by a reason that its user is told. */
  private static final class Failed extends Exception {
    private static final long serialVersionUID = 1L;
    private final int code;
    private final ExecEvent.Reason reason;

    Failed(String message, int code, ExecEvent.Reason reason) {
      super(message);
      this.code = code;
      this.reason = reason;
    }
  }

  private record Step(String what, ExecCall call) {}

  private final BuildTemplate request;
  private final TemplateRecord template;
  private final TemplateSource base;
  private final Templates templates;
  private final Engine engine;
  private final Delivery delivery;
  private final long begun = System.nanoTime();
  private final BuildEvents events;
  private final StringBuilder tail = new StringBuilder();
  private volatile String cancelled = "";

  RunningBuild(
      BuildTemplate request,
      TemplateRecord template,
      TemplateSource base,
      Templates templates,
      Engine engine,
      InstantSource clock,
      Delivery delivery) {
    this.request = request;
    this.template = template;
    this.base = base;
    this.templates = templates;
    this.engine = engine;
    this.events = new BuildEvents(clock);
    this.delivery = delivery;
  }

  TemplateBuild events() {
    return events;
  }

  /** What to say when the thread in {@link #run} is interrupted. */
  void cancelledBecause(String why) {
    cancelled = why;
  }

  /** Builds, to whatever end. */
  void run() {
    try {
      build();
      events.end(List.of(new ExecEvent.Exit(0, ExecEvent.Reason.OK, true, elapsed())));
    } catch (Failed failure) {
      end(failure);
    } catch (InterruptedException stopped) {
      end(new Failed(whyCancelled(), KILLED, ExecEvent.Reason.KILLED));
    } catch (SandboxException refused) {
      end(new Failed(refused.getMessage() + " " + refused.hint(), 1, ExecEvent.Reason.ERROR));
    } catch (EngineException | IOException | RuntimeException broken) {
      if (cancelled.isEmpty()) {
        LOG.log(System.Logger.Level.WARNING, "a template can't be built", broken);
        end(new Failed(sentenceOf(broken), 1, ExecEvent.Reason.ERROR));
      } else {
        end(new Failed(cancelled, KILLED, ExecEvent.Reason.KILLED));
      }
    }
  }

  private String whyCancelled() {
    return cancelled.isEmpty() ? "The build was stopped." : cancelled;
  }

  private static String sentenceOf(Exception broken) {
    return switch (broken) {
      case EngineException full when full.kind() == EngineException.Kind.NO_ROOM ->
          "This host has no room for the template: " + full.getMessage() + ".";
      case EngineException gone when gone.kind() == EngineException.Kind.GONE ->
          "The machine of the build ended while it was used.";
      case GuestException lost -> "The machine of the build is lost: " + lost.getMessage() + ".";
      default -> "The host could not build the template; the server's log says why.";
    };
  }

  private void end(Failed failure) {
    String why = String.valueOf(failure.getMessage());
    templates.fail(template, why);
    // Not with what was said before: who reads this has read it.
    String told = why.lines().findFirst().orElse(why);
    events.end(
        List.of(
            new ExecEvent.Stderr("podflare: " + told + "\n"),
            new ExecEvent.Exit(failure.code, failure.reason, false, elapsed())));
  }

  private Duration elapsed() {
    return Duration.ofNanos(System.nanoTime() - begun);
  }

  private Duration timeLeft() {
    return request.timeout().minus(elapsed());
  }

  private Failed timedOut() {
    return new Failed(
        "The build did not end within its %d s.".formatted(request.timeout().toSeconds()),
        TIMED_OUT,
        ExecEvent.Reason.TIMEOUT);
  }

  // ---- from the base to the snapshot ----

  private void build() throws Failed, EngineException, IOException, InterruptedException {
    MachineShape shape = template.shape();
    tell("starting from " + base.name());
    try (Machine machine = templates.cloneOf(base, shape)) {
      machine.microVm().allow(new Egress.Outside());
      for (Step step : steps()) {
        tell(step.what());
        run(machine, step);
      }
      freeze(machine);
    }
  }

  private void tell(String what) throws Failed, InterruptedException {
    say(new ExecEvent.Stderr("podflare: " + what + "\n"));
  }

  private void say(ExecEvent event) throws Failed, InterruptedException {
    if (!events.say(event, timeLeft())) {
      throw timedOut();
    }
  }

  private List<Step> steps() {
    List<Step> steps = new ArrayList<>();
    if (!request.packages().isEmpty()) {
      steps.add(bash("installing packages", installation(request.packages())));
    }
    request.script().ifPresent(script -> steps.add(bash("running the script", script)));
    request
        .warm()
        .ifPresent(warm -> steps.add(new Step("warming up", call(ExecCall.Language.PYTHON, warm))));
    return steps;
  }

  private static Step bash(String what, String code) {
    return new Step(what, call(ExecCall.Language.BASH, code));
  }

  private static ExecCall call(ExecCall.Language language, String code) {
    return new ExecCall(language, code, Map.of(), Optional.empty());
  }

  /** The names have the form of packages, so nothing in them means anything to bash. */
  private static String installation(List<String> packages) {
    return """
    set -e
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update
    apt-get -q -y --no-install-recommends install %s
    apt-get -q clean
    rm -rf /var/lib/apt/lists/*
    """
        .formatted(String.join(" ", packages));
  }

  private void run(Machine machine, Step step) throws Failed, GuestException, InterruptedException {
    tail.setLength(0);
    GuestEvent.Closed closed;
    try (GuestExec exec = machine.agent().exec(step.call())) {
      closed = follow(exec);
    }
    if (closed.dropped() > 0) {
      tell(
          "output is cut after 10 MiB; %d more bytes were thrown away".formatted(closed.dropped()));
    }
    String ended = step.what() + " ended with " + closed.exitCode();
    if (closed.exitCode() != 0) {
      throw new Failed(
          "The build failed: " + ended + "." + lastWords(),
          closed.exitCode(),
          ExecEvent.Reason.valueOf(closed.reason().name()));
    }
    if (!closed.stateKept()) {
      throw new Failed(
          "The build failed: " + step.what() + " ended the Python process." + lastWords(),
          1,
          ExecEvent.Reason.ERROR);
    }
  }

  private String lastWords() {
    String said = tail.toString().strip();
    return said.isEmpty() ? "" : " It said last:\n" + said;
  }

  private GuestEvent.Closed follow(GuestExec exec)
      throws Failed, GuestException, InterruptedException {
    while (true) {
      Duration left = timeLeft();
      if (!left.isPositive()) {
        stop(exec);
        throw timedOut();
      }
      Optional<GuestEvent> event = exec.next(left);
      if (event.isEmpty()) {
        continue;
      }
      switch (event.get()) {
        case GuestEvent.Output(GuestEvent.Stream stream, String text) -> {
          remember(text);
          say(
              stream == GuestEvent.Stream.STDOUT
                  ? new ExecEvent.Stdout(text)
                  : new ExecEvent.Stderr(text));
        }
        case GuestEvent.Result(var representations) -> say(new ExecEvent.Result(representations));
        case GuestEvent.Failure(String name, String value, String traceback) ->
            say(new ExecEvent.Failure(name, value, traceback));
        case GuestEvent.Closed closed -> {
          return closed;
        }
      }
    }
  }

  private void remember(String text) {
    tail.append(text, Math.max(0, text.length() - TAIL), text.length());
    tail.delete(0, Math.max(0, tail.length() - TAIL));
  }

  /** Lets code that ran too long say something still; its machine ends in any case. */
  private void stop(GuestExec exec) throws GuestException, InterruptedException {
    exec.cancel(CancelReason.TIMEOUT);
    long until = System.nanoTime() + OBEDIENCE.toNanos();
    while (true) {
      Duration left = Duration.ofNanos(until - System.nanoTime());
      Optional<GuestEvent> event = exec.next(left.isNegative() ? Duration.ZERO : left);
      if (event.isEmpty() || event.get() instanceof GuestEvent.Closed) {
        return;
      }
      if (event.get() instanceof GuestEvent.Output(var _, String text)
          && !events.say(new ExecEvent.Stderr(text), Duration.ZERO)) {
        return;
      }
    }
  }

  private void freeze(Machine machine)
      throws Failed, EngineException, IOException, InterruptedException {
    tell("freezing");
    boolean delivered = false;
    try {
      Path directory = templates.directoryFor(new TemplateManifest(template, machine.resync()));
      Snapshot snapshot = engine.freeze(machine.microVm(), directory);
      Machine proof = templates.proofOf(template, new TemplateSnapshot(snapshot, machine.resync()));
      delivery.take(template, proof);
      delivered = true;
      tell("%s, version %d, is ready".formatted(template.name(), template.version()));
    } catch (IOException e) {
      throw Refusals.ofDisk("the template can't be written", e);
    } finally {
      if (!delivered) {
        templates.discard(template.id());
      }
    }
  }
}
