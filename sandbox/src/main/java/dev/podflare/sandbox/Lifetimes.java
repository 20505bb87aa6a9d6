package dev.podflare.sandbox;

import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/** Ends sandboxes whose time is over: closes them, or lets the persistent ones fall asleep. */
final class Lifetimes {

  /** After a sandbox could not fall asleep. */
  private static final Duration NEXT_TRY = Duration.ofSeconds(20);

  private final OpenSandboxes open;
  private final InstantSource clock;
  private final Timer timer;
  private final BiConsumer<SandboxId, String> close;
  private final Consumer<Sandbox> fallAsleep;

  /**
   * @param close closes a sandbox for a reason
   * @param fallAsleep freezes one if it is still idle; throws {@link SandboxException} if that
   *     fails
   */
  Lifetimes(
      OpenSandboxes open,
      InstantSource clock,
      Timer timer,
      BiConsumer<SandboxId, String> close,
      Consumer<Sandbox> fallAsleep) {
    this.open = open;
    this.clock = clock;
    this.timer = timer;
    this.close = close;
    this.fallAsleep = fallAsleep;
  }

  /** Watches a sandbox from now on, until it is closed. */
  void watch(Sandbox sandbox) {
    sandbox
        .sandboxRecord()
        .maxLifetime()
        .ifPresent(lifetime -> {
          Instant end = sandbox.sandboxRecord().createdAt().plus(lifetime);
          timer.after(
              Duration.between(clock.instant(), end),
              () -> close.accept(sandbox.id(), "max_lifetime"));
        });
    watchIdleness(sandbox);
  }

  /** Watches one that has just waked up. */
  void watchIdleness(Sandbox sandbox) {
    timer.after(sandbox.idleTimeLeft(), () -> endIfIdle(sandbox));
  }

  private void endIfIdle(Sandbox sandbox) {
    boolean asleep = sandbox.condition() instanceof Sandbox.Condition.Asleep;
    if (asleep || open.find(sandbox.id()).isEmpty()) {
      return;
    }
    Duration left = sandbox.idleTimeLeft();
    if (left.isPositive()) {
      // Whole milliseconds are what the timer knows: one more, or it would come too early again.
      timer.after(left.plusMillis(1), () -> endIfIdle(sandbox));
    } else if (sandbox.isUsedByTerminals() || sandbox.idleTimeLeft().isPositive()) {
      // The guest was asked about its terminals, and may have taken its time: a call came
      // meanwhile.
      timer.after(sandbox.idleTimeLeft().plusMillis(1), () -> endIfIdle(sandbox));
    } else if (sandbox.canSleep()) {
      putToSleep(sandbox);
    } else {
      close.accept(sandbox.id(), "idle_timeout");
    }
  }

  private void putToSleep(Sandbox sandbox) {
    try {
      fallAsleep.accept(sandbox);
    } catch (SandboxException | Database.DatabaseException e) {
      System.getLogger(Lifetimes.class.getName())
          .log(
              System.Logger.Level.WARNING,
              "sandbox " + sandbox.id() + " is idle and stays awake",
              e);
      timer.after(NEXT_TRY, () -> endIfIdle(sandbox));
      return;
    }
    if (!(sandbox.condition() instanceof Sandbox.Condition.Asleep)) {
      // Somebody used it just then.
      timer.after(sandbox.idleTimeLeft().plusMillis(1), () -> endIfIdle(sandbox));
    }
  }
}
