package dev.podflare.sandbox;

import dev.podflare.guest.CancelReason;
import dev.podflare.guest.GuestEvent;
import dev.podflare.guest.GuestException;
import dev.podflare.guest.GuestExec;
import dev.podflare.guest.GuestRefusedException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Code that runs in a sandbox, and what the guest says of it.
 *
 * <p>Ends exactly once: when the guest says so, or is lost. That gives back the sandbox's turn, if
 * it has it. {@link Exec} sees to it that somebody takes what the guest says up to that end.
 *
 * <p>The guest is asked to stop code that runs too long; it has 5 s to obey, then kills what runs.
 * A guest that has not even said so {@link #OBEDIENCE} after it was asked is not to be trusted any
 * more, and its machine is stopped.
 */
final class RunningExec {

  /** The guest's own 5 s, and time for a slow host to tell. */
  private static final Duration OBEDIENCE = Duration.ofSeconds(20);

  /** Enough for one write; a window of output makes four at most, results are larger. */
  private static final int MOST_AT_ONCE = 16;

  private static final int KILLED = 137;
  private static final int REFUSED = 1;

  private final Sandbox sandbox;
  private final GuestExec guest;
  private final Sandbox.Use use;
  private final InstantSource clock;
  private final Timer timer;
  private final Optional<Duration> timeout;
  private final boolean hasTurn;
  private final boolean heard;
  private final Instant started;
  private final AtomicBoolean ended = new AtomicBoolean();
  private Timer.Appointment timeoutAppointment = () -> {};
  private volatile Timer.Appointment stopAppointment = () -> {};
  private volatile boolean timedOut;
  private boolean over;

  /**
   * @param hasTurn whether it has the sandbox's turn until it ends
   * @param heard whether the guest tells what it writes, or only how it ends
   */
  RunningExec(
      Sandbox sandbox,
      GuestExec guest,
      Sandbox.Use use,
      InstantSource clock,
      Timer timer,
      Optional<Duration> timeout,
      boolean hasTurn,
      boolean heard) {
    this.sandbox = sandbox;
    this.guest = guest;
    this.use = use;
    this.clock = clock;
    this.timer = timer;
    this.timeout = timeout;
    this.hasTurn = hasTurn;
    this.heard = heard;
    this.started = clock.instant();
  }

  void begin() {
    if (timeout.isPresent()) {
      timeoutAppointment =
          timer.after(
              timeout.get(),
              () -> {
                timedOut = true;
                cancel(CancelReason.TIMEOUT);
              });
    }
  }

  /** The number that it has in its guest. */
  int number() {
    return guest.number();
  }

  boolean hasTurn() {
    return hasTurn;
  }

  /** How long it may still run; empty if as long as it likes. */
  Optional<Duration> timeLeft() {
    return timeout.map(longest -> longest.minus(elapsed()));
  }

  void cancel(CancelReason reason) {
    guest.cancel(reason);
    stopAppointment = timer.after(OBEDIENCE, this::stopUnlessObeyed);
  }

  private void stopUnlessObeyed() {
    if (ended.get()) {
      return;
    }
    if (guest.waitsForReader()) {
      // Its word that it ended may lie behind output that our own reader has not taken yet.
      stopAppointment = timer.after(OBEDIENCE, this::stopUnlessObeyed);
    } else {
      use.machine().lose("its code was to be stopped, and it did not obey.");
    }
  }

  /**
   * Waits for the next event, and gives it with all that are there already, in order; none if none
   * came in this time. For one thread at a time.
   */
  List<ExecEvent> next(Duration longest) throws InterruptedException {
    List<ExecEvent> events = new ArrayList<>();
    try {
      guest.next(longest).ifPresent(event -> take(event, events));
      boolean more = !events.isEmpty();
      while (more && !over && events.size() < MOST_AT_ONCE) {
        Optional<GuestEvent> here = guest.next(Duration.ZERO);
        here.ifPresent(event -> take(event, events));
        more = here.isPresent();
      }
    } catch (GuestRefusedException refused) {
      events.add(new ExecEvent.Stderr(refused.getMessage() + "\n"));
      events.add(new ExecEvent.Exit(REFUSED, ExecEvent.Reason.ERROR, true, elapsed()));
      over = true;
    } catch (GuestException lost) {
      events.add(machineEnded());
      over = true;
    } catch (InterruptedException stopping) {
      if (events.isEmpty()) {
        throw stopping;
      }
      // What has been taken from the guest is nowhere else.
      Thread.currentThread().interrupt();
    }
    return events;
  }

  /** Whether its exit was among the events. Its reader must {@link #end} it then. */
  boolean isOver() {
    return over;
  }

  private void take(GuestEvent event, List<ExecEvent> events) {
    switch (event) {
      case GuestEvent.Output(GuestEvent.Stream stream, String text) ->
          events.add(
              stream == GuestEvent.Stream.STDOUT
                  ? new ExecEvent.Stdout(text)
                  : new ExecEvent.Stderr(text));
      case GuestEvent.Result(var representations) ->
          events.add(new ExecEvent.Result(representations));
      case GuestEvent.Failure(String name, String value, String traceback) ->
          events.add(new ExecEvent.Failure(name, value, traceback));
      case GuestEvent.Closed closed -> {
        if (heard && closed.dropped() > 0) {
          events.add(
              new ExecEvent.Stderr(
                  "\n[podflare: output is cut after 10 MiB; "
                      + closed.dropped()
                      + " more bytes were thrown away]\n"));
        }
        events.add(
            new ExecEvent.Exit(
                closed.exitCode(),
                ExecEvent.Reason.valueOf(closed.reason().name()),
                closed.stateKept(),
                closed.duration()));
        over = true;
      }
    }
  }

  private ExecEvent.Exit machineEnded() {
    return new ExecEvent.Exit(
        KILLED, timedOut ? ExecEvent.Reason.TIMEOUT : ExecEvent.Reason.KILLED, false, elapsed());
  }

  private Duration elapsed() {
    return Duration.between(started, clock.instant());
  }

  /** Gives back what it holds of its sandbox. */
  void end() {
    if (ended.compareAndSet(false, true)) {
      timeoutAppointment.cancel();
      stopAppointment.cancel();
      guest.close();
      use.close();
      sandbox.ended(this);
    }
  }
}
