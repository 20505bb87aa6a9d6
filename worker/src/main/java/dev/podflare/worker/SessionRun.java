package dev.podflare.worker;

import dev.podflare.sdk.PodflareException;
import dev.podflare.sdk.Sandbox;
import dev.podflare.worker.SessionEvent.ToolCall;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * One session while this worker holds its item of work. Three threads: the one that serves it runs
 * the calls, in order; one keeps the lease; one reads the session's events. All end with {@link
 * #serve}.
 */
final class SessionRun {
  /** How it came out. */
  enum Outcome {
    /** Nothing is left to do in this session, for now. */
    IDLE,
    /** The session is over for good. */
    SESSION_ENDED,
    /** The worker stops in the middle of a turn; another one shall go on. */
    GIVEN_BACK,
    /** Somebody else holds the work, or the provider has ended it. */
    LEASE_ENDED,
    /** The provider's API refuses what is needed. */
    FAILED
  }

  private sealed interface Signal {}

  private record History(List<SessionEvent> events) implements Signal {}

  private record Happened(SessionEvent event) implements Signal {}

  /** Something has changed that is looked at anyway. */
  private record Wake() implements Signal {}

  private static final Logger LOG = System.getLogger(SessionRun.class.getPackageName());

  /** How many events are read ahead of the call that runs. */
  private static final int MOST_AHEAD = 256;

  private static final Duration LOOK_AROUND = Duration.ofSeconds(1);

  /** A connection that is broken without a word looks like a quiet one: then it is made anew. */
  private static final Duration LONGEST_SILENCE = Duration.ofMinutes(5);

  /** How long an answer is tried to be sent once the worker stops. */
  private static final Duration LAST_TRIES = Duration.ofSeconds(5);

  /** Documented: how long memory may take to be saved at the end. */
  private static final Duration TO_SAVE = Duration.ofSeconds(30);

  private final Session session;
  private final Lease lease;
  private final AgentTools tools;
  private final SessionSandbox sandbox;
  private final SessionMounts mounts;
  private final Stoppable placing = new Stoppable();
  private final boolean hasToken;
  private final Duration maxIdle;
  private final Ticker ticker;
  private final RandomGenerator random;
  private final CallLedger ledger;
  private final BlockingQueue<Signal> inbox = new LinkedBlockingQueue<>(MOST_AHEAD);

  private volatile boolean isStopping;
  private volatile boolean isCallRunning;

  /** Known to the reader before the thread that serves comes to read it. */
  private volatile boolean isSessionOver;

  private volatile @Nullable ProviderException failure;
  private volatile @Nullable EventStream stream;
  private volatile long lastHeard;
  private volatile boolean isClosed;

  SessionRun(
      WorkQueue queue,
      WorkItem item,
      Session session,
      SessionSandbox sandbox,
      SessionMounts mounts,
      AgentTools tools,
      Duration maxIdle,
      Ticker ticker,
      RandomGenerator random) {
    this.session = session;
    this.lease = new Lease(queue, item, ticker, this::leaseEnded);
    this.sandbox = sandbox;
    this.mounts = mounts;
    this.hasToken = item.token().isPresent();
    this.tools = tools;
    this.maxIdle = maxIdle;
    this.ticker = ticker;
    this.random = random;
    this.ledger = new CallLedger(tools::isOurs);
    this.lastHeard = ticker.nanos();
  }

  /** Runs calls and answers them until there is nothing left to do here. */
  Outcome serve() throws InterruptedException {
    if (!lease.take()) {
      return Outcome.LEASE_ENDED;
    }
    LOG.log(Level.INFO, "session {0}: serving it", session.id());
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      try {
        threads.execute(lease::keep);
        Optional<Outcome> before = begin();
        if (before.isPresent()) {
          return before.get();
        }
        threads.execute(this::follow);
        Outcome outcome = work();
        mounts.end(outcome != Outcome.LEASE_ENDED, isStopping ? LAST_TRIES : TO_SAVE);
        return outcome;
      } finally {
        isClosed = true;
        lease.release();
        threads.shutdownNow();
        hangUp();
      }
    }
  }

  /** Lets the call that runs end, and begins no other. */
  void stop() {
    isStopping = true;
    placing.stop();
    wake();
  }

  /** Stops the code of the call that runs, if one does. */
  void interrupt() {
    if (isCallRunning) {
      sandbox.interrupt();
    }
  }

  /** What proves to the provider that this worker held the item. */
  String lastHeartbeat() {
    return lease.last();
  }

  /** The lease has ended: what runs is no longer ours to run. */
  private void leaseEnded() {
    placing.stop();
    interrupt();
    wake();
  }

  private void wake() {
    // If it is full, the thread that takes from it is not asleep.
    boolean _ = inbox.offer(new Wake());
  }

  private Optional<Outcome> begin() throws InterruptedException {
    Backoff backoff = backoff();
    while (!isStopping && lease.end().isEmpty()) {
      try {
        Session.Facts facts = session.facts();
        if (!facts.attachments().stores().isEmpty() && !hasToken) {
          LOG.log(
              Level.WARNING,
              "session {0}: it is left: it has memory stores, and its work came without the token"
                  + " that opens them",
              session.id());
          return Optional.of(Outcome.FAILED);
        }
        mounts.attach(facts.attachments());
        return facts.isTerminated() ? Optional.of(Outcome.SESSION_ENDED) : Optional.empty();
      } catch (ProviderException e) {
        if (e.isFinal()) {
          return Optional.of(failed(e));
        }
        lease.awaitEnd(backoff.next(e.retryAfter()));
      }
    }
    return Optional.of(isStopping ? Outcome.GIVEN_BACK : Outcome.LEASE_ENDED);
  }

  private Outcome work() throws InterruptedException {
    boolean isHistoryRead = false;
    long idleSince = ticker.nanos();
    Signal awaited = inbox.poll();
    while (true) {
      for (Signal signal = awaited; signal != null; signal = inbox.poll()) {
        try {
          isHistoryRead |= take(signal);
        } catch (ProviderException e) {
          return failed(e);
        }
        if (!(signal instanceof Wake)) {
          idleSince = ticker.nanos();
        }
      }
      ProviderException broken = failure;
      if (lease.end().isPresent()) {
        return Outcome.LEASE_ENDED;
      } else if (ledger.isEnded()) {
        return Outcome.SESSION_ENDED;
      } else if (broken != null) {
        return failed(broken);
      }
      Optional<ToolCall> next = isHistoryRead ? ledger.next() : Optional.empty();
      if (isStopping) {
        return isHistoryRead && ledger.isIdle() ? Outcome.IDLE : Outcome.GIVEN_BACK;
      } else if (next.isPresent()) {
        Optional<Outcome> broke = run(next.get());
        if (broke.isPresent()) {
          return broke.get();
        }
        awaited = inbox.poll();
        continue;
      }
      long idle = ticker.nanos() - idleSince;
      if (isHistoryRead && ledger.isIdle() && idle >= maxIdle.toNanos()) {
        return Outcome.IDLE;
      }
      if (ticker.nanos() - lastHeard > LONGEST_SILENCE.toNanos()) {
        lastHeard = ticker.nanos();
        hangUp();
      }
      awaited = inbox.poll(LOOK_AROUND.toNanos(), TimeUnit.NANOSECONDS);
    }
  }

  /** Answers whether it was the history. */
  private boolean take(Signal signal) throws ProviderException {
    switch (signal) {
      case Happened happened -> ledger.note(happened.event());
      case History history -> {
        for (SessionEvent event : history.events()) {
          ledger.note(event);
        }
        return true;
      }
      case Wake _ -> {}
    }
    return false;
  }

  /** Runs a call and answers it; answers with an outcome if the session can't go on. */
  private Optional<Outcome> run(ToolCall call) throws InterruptedException {
    LOG.log(Level.INFO, "session {0}: {1} {2}", session.id(), Json.said(call.name()), call.id());
    ToolResult result;
    sandbox.begin();
    try {
      List<String> told = place();
      result = answer(call);
      for (String each : told) {
        result = result.and("[" + each + "]");
      }
    } catch (InterruptedException hurried) {
      if (!placing.isStopped()) {
        throw hurried;
      }
      return Optional.empty(); // What it was stopped for is looked at next.
    } catch (PodflareException noSandbox) {
      if (placing.isStopped()) {
        return Optional.empty();
      }
      result = SandboxAnswers.of(noSandbox);
    } catch (ProviderException | MountException noMemory) {
      return placing.isStopped() ? Optional.empty() : Optional.of(failed(noMemory));
    }
    if (lease.end().isEmpty() && !isSessionOver) {
      send(call, result);
      mounts.syncIfDue();
    }
    return Optional.empty();
  }

  private ToolResult answer(ToolCall call) {
    isCallRunning = true;
    try {
      return tools.answer(call);
    } finally {
      isCallRunning = false;
    }
  }

  /** Brings what the session has into a sandbox that does not have it yet. */
  private List<String> place() throws ProviderException, MountException, InterruptedException {
    if (!mounts.isNeeded()) {
      return List.of();
    }
    Sandbox here = sandbox.get();
    if (!mounts.isDue(here)) {
      return List.of();
    }
    placing.begin();
    try {
      return mounts.place(here, lease::awaitEnd);
    } finally {
      placing.end();
    }
  }

  /** Sends an answer until it has arrived, once. */
  private void send(ToolCall call, ToolResult result) throws InterruptedException {
    Backoff backoff = backoff();
    boolean mayHaveArrived = false;
    ToolResult answer = result;
    boolean isShort = false;
    long stopSeen = -1;
    while (lease.end().isEmpty()) {
      Duration pause;
      try {
        if (!mayHaveArrived || !session.isAnswered(call)) {
          session.answer(call, answer);
        }
        ledger.close(call.id());
        return;
      } catch (ProviderException e) {
        LOG.log(
            Level.WARNING,
            "session {0}: the answer of {1} was not taken: {2}",
            session.id(),
            call.id(),
            e.getMessage());
        if (e.isFinal() && (isShort || (e.status() != 413 && e.status() != 400))) {
          ledger.close(call.id()); // Nobody waits for it any more, or nobody may send it from here.
          return;
        } else if (e.isFinal()) {
          answer =
              ToolResult.error(
                  "error: the call ran, but its answer was refused as too large or not presentable."
                      + " Ask for less of it, or write it to a file and look at parts of it");
          isShort = true;
          pause = Duration.ZERO;
        } else {
          mayHaveArrived |= e.isOutcomeUnknown();
          pause = backoff.next(e.retryAfter());
        }
      }
      if (isStopping) {
        stopSeen = stopSeen < 0 ? ticker.nanos() : stopSeen;
        if (ticker.nanos() - stopSeen > LAST_TRIES.toNanos()) {
          return;
        }
        pause = pause.compareTo(LOOK_AROUND) > 0 ? LOOK_AROUND : pause;
      }
      lease.awaitEnd(pause);
    }
  }

  /** Reads the session's events, over as many connections as that takes. */
  private void follow() {
    Backoff backoff = backoff();
    try {
      while (!isClosed && lease.end().isEmpty()) {
        Optional<Duration> asked = Optional.empty();
        try (EventStream events = session.stream()) {
          stream = events;
          // First the stream, then the history: what happens between the two is in both.
          inbox.put(new History(session.history()));
          backoff.reset();
          read(events);
        } catch (ProviderException e) {
          if (e.isFinal()) {
            failure = e;
            wake();
            return;
          }
          asked = e.retryAfter();
          LOG.log(Level.INFO, "session {0}: connecting again: {1}", session.id(), e.getMessage());
        }
        lease.awaitEnd(backoff.next(asked));
      }
    } catch (InterruptedException closed) {
      Thread.currentThread().interrupt();
    }
  }

  private void read(EventStream events) throws ProviderException, InterruptedException {
    for (Optional<SessionEvent> event = events.next(); event.isPresent(); event = events.next()) {
      lastHeard = ticker.nanos();
      isSessionOver |= event.get() instanceof SessionEvent.Ended;
      if (isSessionOver) {
        placing.stop();
      }
      if (isSessionOver || event.get() instanceof SessionEvent.Interrupted) {
        interrupt();
      }
      inbox.put(new Happened(event.get()));
    }
  }

  private void hangUp() {
    EventStream open = stream;
    if (open != null) {
      open.close();
    }
  }

  private Outcome failed(Exception e) {
    LOG.log(Level.WARNING, "session {0}: it is left: {1}", session.id(), e.getMessage());
    return Outcome.FAILED;
  }

  private Backoff backoff() {
    return new Backoff(Duration.ofMillis(500), Duration.ofSeconds(15), random);
  }
}
