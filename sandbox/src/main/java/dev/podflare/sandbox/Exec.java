package dev.podflare.sandbox;

import dev.podflare.guest.CancelReason;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * One exec of a sandbox, from when it takes its place in the line until it is forgotten, long after
 * its end.
 *
 * <p>Its events are in its {@link ExecLog}, and whoever reads them reads them there. Until it has
 * begun and has a {@link RunningExec}, its maker holds the writer's place of the log. From then on
 * the place is of the reader that waits, or of a thread of its own: once a reader has left, since
 * there may be no other; and once there has been so much output that a reader may be held up by its
 * client, which must not hold up the code.
 */
final class Exec {

  /** What every client's connection takes in without waiting for the client. */
  private static final long MUCH_OUTPUT = 64 << 10;

  /** Of what an earlier server told nobody knows how much it was, but it was less than this. */
  static final long FIRST_AFTER_RESTART = 1 << 24;

  /** An exec that has run for as long is written down, so that it is known after a restart. */
  private static final Duration LONG = Duration.ofSeconds(1);

  private static final Duration ENDLESS = Duration.ofNanos(Long.MAX_VALUE);
  private static final int KILLED = 137;
  private static final int TIMED_OUT = 124;
  private static final int INTERRUPTED = 130;

  private final ExecId id;
  private final SandboxId sandbox;
  private final ExecRequest.Language language;
  private final boolean background;
  private final String code;
  private final Instant created;
  private final Execs execs;
  private final ExecKeeping keeping;
  private final Optional<Integer> numberOfBefore;
  private final ExecLog log;
  private final AtomicBoolean hasThread = new AtomicBoolean();

  private final ReentrantLock lock = new ReentrantLock();
  private volatile @Nullable RunningExec run;
  private volatile @Nullable Instant started;
  private volatile @Nullable Instant ended;
  private volatile ExecEvent.@Nullable Exit exit;
  private Turns.@Nullable Place place;
  private boolean unwanted;
  private boolean writtenDown;
  private Timer.@Nullable Appointment writeDownLater;

  private Exec(ExecRecord known, Execs execs, ExecKeeping keeping, long firstSeq) {
    this.id = known.id();
    this.sandbox = known.sandbox();
    this.language = known.language();
    this.background = known.background();
    this.code = known.code();
    this.created = known.createdAt();
    this.started = known.startedAt().orElse(null);
    this.numberOfBefore = known.stream();
    this.execs = execs;
    this.keeping = keeping;
    this.log = new ExecLog(keeping.blocks(), keeping.clock(), firstSeq);
  }

  /** One that was asked for just now. */
  static Exec asked(
      SandboxId sandbox,
      ExecRequest request,
      boolean background,
      Execs execs,
      ExecKeeping keeping) {
    ExecRecord known =
        new ExecRecord(
            ExecId.random(),
            sandbox,
            request.language(),
            background,
            beginning(request.code()),
            keeping.clock().instant(),
            Optional.empty(),
            Optional.empty());
    return new Exec(known, execs, keeping, 0);
  }

  private static String beginning(String code) {
    return code.codePointCount(0, code.length()) <= ExecInfo.MOST_CODE
        ? code
        : code.substring(0, code.offsetByCodePoints(0, ExecInfo.MOST_CODE));
  }

  /** One that an earlier server wrote down. */
  static Exec known(ExecRecord known, Execs execs, ExecKeeping keeping) {
    boolean wasHeard = known.startedAt().isPresent();
    Exec exec = new Exec(known, execs, keeping, wasHeard ? FIRST_AFTER_RESTART : 0);
    exec.writtenDown = true;
    return exec;
  }

  /** One that was found running, and of which nothing is known. */
  static Exec found(SandboxId sandbox, Execs execs, ExecKeeping keeping) {
    Instant now = keeping.clock().instant();
    ExecRecord found =
        new ExecRecord(
            ExecId.random(),
            sandbox,
            ExecRequest.Language.PYTHON,
            false,
            "",
            now,
            Optional.of(now),
            Optional.empty());
    return new Exec(found, execs, keeping, 0);
  }

  ExecId id() {
    return id;
  }

  boolean isBackground() {
    return background;
  }

  /** The number that it had in its guest when it was written down, for one that was. */
  Optional<Integer> numberOfBefore() {
    return numberOfBefore;
  }

  ExecLog log() {
    return log;
  }

  ExecInfo info() {
    ExecEvent.Exit how = exit;
    ExecInfo.State state =
        how != null
            ? ExecInfo.State.ENDED
            : started != null ? ExecInfo.State.RUNNING : ExecInfo.State.QUEUED;
    return new ExecInfo(
        id,
        language,
        background,
        state,
        code,
        created,
        Optional.ofNullable(started),
        Optional.ofNullable(ended),
        Optional.ofNullable(how),
        log.nextSeq(),
        log.firstSeq());
  }

  // ---- begin ----

  /** It waits for its turn here, and leaves if it is interrupted meanwhile. */
  void waitsAt(Turns.Place where) {
    lock.lock();
    try {
      place = where;
      if (unwanted) {
        where.giveUp();
      }
    } finally {
      lock.unlock();
    }
  }

  /** Its asker is told that it waits. Its maker only, before others may write. */
  void tellWaiting() {
    tell(List.of(new ExecEvent.Waiting(execs.running())));
  }

  /** Its code is in the guest. Its maker is its writer until it {@link #letWrite lets others}. */
  void begun(RunningExec running) {
    lock.lock();
    try {
      run = running;
      if (started == null) {
        Instant now = keeping.clock().instant();
        started = now;
        keeping.countBegun();
        if (writtenDown) {
          keeping.registry().started(id, now, running.number());
        }
      }
      if (unwanted) {
        running.cancel(CancelReason.INTERRUPT);
      }
    } finally {
      lock.unlock();
    }
  }

  /** From now on whoever reads it writes it too. */
  void letWrite() {
    log.stopWriting();
  }

  /**
   * Code of before goes on, and this follows it to its end.
   *
   * @param running what the guest will say no more of than how it ended
   */
  void followed(RunningExec running) {
    begun(running);
    tell(
        List.of(
            new ExecEvent.Stderr(
                "[podflare: this code goes on from before a fork or a restart of the server;"
                    + " what it wrote meanwhile, and what it writes, is not heard]\n")));
    letWrite();
    goOn();
  }

  // ---- end ----

  /** Stops it like Ctrl-C, or keeps it from beginning. Does nothing when it has ended. */
  void interrupt() {
    lock.lock();
    try {
      RunningExec running = run;
      unwanted = true;
      if (running != null) {
        running.cancel(CancelReason.INTERRUPT);
      } else if (place != null) {
        place.giveUp();
      }
    } finally {
      lock.unlock();
    }
  }

  /** Its place was given up: by an interrupt, or because its time limit passed in the queue. */
  void endBeforeItBegan() {
    if (isUnwanted()) {
      end(
          "[podflare: interrupted before it began]\n",
          new ExecEvent.Exit(INTERRUPTED, ExecEvent.Reason.INTERRUPTED, true, Duration.ZERO));
    } else {
      endQueuedTooLong();
    }
  }

  private boolean isUnwanted() {
    lock.lock();
    try {
      return unwanted;
    } finally {
      lock.unlock();
    }
  }

  private void endQueuedTooLong() {
    String why =
        "Not run: its time limit passed while it waited"
            + execs.running().map(other -> " behind " + other).orElse(" for its turn")
            + ". Interrupt that, wait longer, or detach this call.";
    if (exit == null) {
      tell(
          List.of(
              new ExecEvent.Stderr("[podflare: " + why + "]\n"),
              new ExecEvent.Failure("QueuedTooLong", why, ""),
              new ExecEvent.Exit(TIMED_OUT, ExecEvent.Reason.TIMEOUT, true, Duration.ZERO)));
      letWrite();
    }
  }

  /**
   * It could not begin, or nobody knows how it ended.
   *
   * @param stateKept whether the sandbox's state is there all the same
   */
  void endBecause(String why, boolean stateKept) {
    end(
        "[podflare: " + why + "]\n",
        new ExecEvent.Exit(KILLED, ExecEvent.Reason.KILLED, stateKept, Duration.ZERO));
  }

  private void end(String why, ExecEvent.Exit how) {
    if (exit == null) {
      tell(List.of(new ExecEvent.Stderr(why), how));
      letWrite();
    }
  }

  // ---- write ----

  /** Takes what comes from the guest next; the writer only. */
  private List<ToldEvent> pump(Duration longest) throws InterruptedException {
    RunningExec running = Objects.requireNonNull(run);
    List<ExecEvent> events = running.next(longest);
    try {
      return events.isEmpty() ? List.of() : tell(events);
    } finally {
      if (running.isOver()) {
        running.end();
      }
    }
  }

  private List<ToldEvent> tell(List<ExecEvent> events) {
    if (events.getLast() instanceof ExecEvent.Exit how) {
      ended = keeping.clock().instant();
      exit = how;
    }
    long before = log.length();
    List<ToldEvent> told = log.append(events);
    long now = log.length();
    if (before / ExecBlocks.BLOCK != now / ExecBlocks.BLOCK) {
      execs.dropWhatIsTooMuch();
    }
    if (exit != null) {
      hasEnded();
    } else if (now > MUCH_OUTPUT) {
      goOn();
    }
    return told;
  }

  private void hasEnded() {
    if (started != null) {
      keeping.countEnded(Objects.requireNonNull(exit).reason());
    }
    forgetWrittenDown();
    log.release();
    execs.ended(this);
  }

  /** Takes what comes from the guest on a thread of its own from now on. */
  void goOn() {
    if (hasThread.compareAndSet(false, true)) {
      Thread.ofVirtual().name("exec-" + id).start(this::goOnToTheEnd);
    }
  }

  private void goOnToTheEnd() {
    try {
      if (log.awaitWriting()) {
        writeToTheEnd();
      }
    } catch (InterruptedException stopping) {
      Thread.currentThread().interrupt();
    }
  }

  /** For its maker, who is the writer, and whose thread is free for that. */
  void writeToTheEnd() throws InterruptedException {
    hasThread.set(true);
    try {
      while (!log.hasEnded()) {
        pump(ENDLESS);
      }
    } finally {
      log.stopWriting();
    }
  }

  // ---- after a restart ----

  /** Writes it down, unless it has ended. */
  void writeDown() {
    lock.lock();
    try {
      if (!writtenDown && exit == null) {
        RunningExec running = run;
        keeping
            .registry()
            .add(
                new ExecRecord(
                    id,
                    sandbox,
                    language,
                    background,
                    code,
                    created,
                    Optional.ofNullable(started),
                    Optional.ofNullable(running).map(RunningExec::number)));
        writtenDown = true;
      }
    } finally {
      lock.unlock();
    }
  }

  private void writeDownIfLong() {
    lock.lock();
    try {
      if (!writtenDown && writeDownLater == null && exit == null) {
        writeDownLater = keeping.timer().after(LONG, this::writeDown);
      }
    } finally {
      lock.unlock();
    }
  }

  private void forgetWrittenDown() {
    lock.lock();
    try {
      if (writeDownLater != null) {
        writeDownLater.cancel();
      }
      if (writtenDown) {
        keeping.forget(id);
      }
    } finally {
      lock.unlock();
    }
  }

  // ---- read ----

  /**
   * A reader of its events.
   *
   * @param from the number of the first one
   */
  ExecStream read(long from) {
    return new Reader(log.open(from));
  }

  private final class Reader implements ExecStream {

    private final ExecLog.Cursor cursor;
    private int calls;
    private boolean closed;

    private Reader(ExecLog.Cursor cursor) {
      this.cursor = cursor;
    }

    @Override
    public ExecId id() {
      return id;
    }

    @Override
    public List<ToldEvent> next() throws InterruptedException {
      return next(ENDLESS);
    }

    @Override
    public List<ToldEvent> next(Duration longest) throws InterruptedException {
      calls++;
      if (calls == 2) {
        // Most are through by now.
        writeDownIfLong();
      }
      long begin = System.nanoTime();
      List<ToldEvent> told = new ArrayList<>(log.read(cursor));
      while (told.isEmpty() && !cursor.isOver()) {
        Duration left = longest.minusNanos(System.nanoTime() - begin);
        if (!left.isPositive()) {
          break;
        }
        if (log.tryToWrite()) {
          told = writtenByItself(left);
        } else {
          log.await(cursor, left);
        }
        if (told.isEmpty()) {
          told = log.read(cursor);
        }
      }
      return told;
    }

    private List<ToldEvent> writtenByItself(Duration longest) throws InterruptedException {
      try {
        List<ToldEvent> told = pump(longest);
        return !told.isEmpty() && log.pass(cursor, told) ? told : List.of();
      } finally {
        log.stopWriting();
      }
    }

    @Override
    public void close() {
      if (!closed) {
        closed = true;
        if (!log.hasEnded()) {
          goOn();
        }
        log.release();
      }
    }
  }
}
