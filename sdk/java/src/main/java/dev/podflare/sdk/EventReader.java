package dev.podflare.sdk;

import java.time.Duration;
import java.util.Arrays;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.jspecify.annotations.Nullable;

/**
 * The events of a running exec, one by one. If the connection breaks, or is silent for longer than
 * the server ever leaves it, and the exec has an id, it is attached to again behind the last event,
 * since its output is kept. For one thread at a time; another one may close it.
 */
final class EventReader implements Iterator<Event>, AutoCloseable {
  /**
   * A server sends a blank line after 15 s in which an exec's stream was silent. After three of
   * them that did not come the peer is dead, whatever the connection looks like.
   */
  static final Duration LONGEST_SILENCE = Duration.ofSeconds(45);

  /** How long the interrupt of code that nobody waits for any more may keep its caller. */
  static final Duration LONGEST_INTERRUPT = Duration.ofSeconds(5);

  private static final int FIRST_BUFFER_BYTES = 8 * 1024;

  /** A line is one event, of at most 2 MiB from a sound server; this bounds a broken one. */
  private static final int LONGEST_LINE = 64 * 1024 * 1024;

  private final Transport transport;
  private final @Nullable Exec exec;
  private final boolean takesAlong;
  private final Duration silence;
  private volatile Answer answer; // Another thread may close it.
  private byte[] buffer = new byte[FIRST_BUFFER_BYTES];
  private int start;
  private int end;
  private int scanned;
  private long nextSeq;
  private int failures;
  private boolean isFinished;
  private final AtomicBoolean isClosed = new AtomicBoolean();
  private @Nullable Event ready;

  /**
   * @param exec null if the server does not tell its id; there is no going on then
   * @param takesAlong whether the code is interrupted if this is closed before its end
   */
  EventReader(
      Transport transport, Answer answer, long from, @Nullable Exec exec, boolean takesAlong) {
    this.transport = transport;
    this.answer = answer;
    this.nextSeq = from;
    this.exec = exec;
    this.takesAlong = takesAlong;
    this.silence = transport.longestSilence();
    listen();
  }

  private void listen() {
    if (exec != null) { // A server with ids also has a heartbeat.
      answer.expectWithin(silence);
    }
  }

  @Override
  public boolean hasNext() {
    while (ready == null && !isFinished && !isClosed.get()) {
      try {
        ready = receive();
      } catch (ConnectionException | RequestTimeoutException broken) {
        goOnAfter(broken);
      } catch (PodflareException broken) {
        close();
        throw broken;
      }
    }
    return ready != null;
  }

  @Override
  public Event next() {
    if (!hasNext()) {
      throw new NoSuchElementException("the exec has ended");
    }
    Event event = Objects.requireNonNull(ready);
    ready = null;
    return event;
  }

  /** Stops listening. The code is interrupted with it, or runs on, as it was started. */
  @Override
  public void close() {
    if (isClosed.compareAndSet(false, true)) {
      if (isFinished) {
        answer.finish();
      } else {
        answer.close();
        stopTheCode();
      }
    }
  }

  /** The same for a caller that must not wait, and whose executor's threads may all be taken. */
  void leave() {
    if (!isClosed.get()) {
      Threads.BLOCKING.execute(this::close);
    }
  }

  private void stopTheCode() {
    if (exec == null || !takesAlong) {
      return;
    }
    CompletableFuture<Void> stopping =
        CompletableFuture.runAsync(exec::interrupt, Threads.BLOCKING);
    boolean wasInterrupted = Thread.interrupted(); // Else it would not be waited for.
    try {
      stopping.get(LONGEST_INTERRUPT.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException again) {
      wasInterrupted = true;
    } catch (ExecutionException | TimeoutException unreached) {
      // Whoever stops listening has a reason of its own, which matters more.
    } finally {
      if (wasInterrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** The same as a stream, which closes this one. */
  Stream<Event> stream() {
    int traits = Spliterator.ORDERED | Spliterator.NONNULL;
    return StreamSupport.stream(Spliterators.spliteratorUnknownSize(this, traits), false)
        .onClose(this::close);
  }

  /** The next event that this version knows; null at the end of all. */
  private @Nullable Event receive() {
    while (true) {
      int newline = newline();
      if (newline < 0) {
        int count = fill();
        if (count < 0) {
          throw Failures.outcomeUnknown("the answer ended before the exit event", null);
        }
        continue;
      }
      failures = 0; // An event, or the heartbeat of code that is silent.
      Event event = event(newline);
      if (event == null) {
        continue;
      }
      nextSeq = event instanceof Event.Gap gap ? gap.to() + 1 : event.seq() + 1;
      if (event instanceof Event.Exit) {
        isFinished = true;
        close();
      }
      return event;
    }
  }

  private @Nullable Event event(int newline) {
    int from = start;
    int length = newline - from;
    start = newline + 1;
    scanned = start;
    // The head of a stream travels with a space.
    if (length == 0 || (length == 1 && buffer[from] == ' ')) {
      return null;
    }
    return Event.of(buffer, from, length);
  }

  private int newline() {
    for (int i = scanned; i < end; i++) {
      if (buffer[i] == '\n') {
        return i;
      }
    }
    scanned = end;
    return -1;
  }

  private int fill() {
    if (start > 0) {
      System.arraycopy(buffer, start, buffer, 0, end - start);
      end -= start;
      scanned -= start;
      start = 0;
    }
    if (end == buffer.length) {
      if (end >= LONGEST_LINE) {
        throw Failures.badAnswer("the server sent an event of more than 64 MiB", null);
      }
      buffer = Arrays.copyOf(buffer, buffer.length * 2);
    }
    int count = answer.read(buffer, end, buffer.length - end);
    end += Math.max(count, 0);
    return count;
  }

  private void goOnAfter(PodflareException broken) {
    answer.close();
    if (broken.hasCode("interrupted")) {
      close();
      throw broken;
    }
    if (isClosed.get()) {
      throw Failures.closedMeanwhile("the stream", broken);
    }
    while (exec != null && (failures < transport.retries() || stillRuns(exec))) {
      transport.pause(failures);
      failures++;
      try {
        goOn(exec.open(nextSeq), broken);
        return;
      } catch (ConnectionException | CapacityException refused) {
        if (refused.hasCode("interrupted") || refused.hasCode("closed")) {
          throw refused;
        }
        // Else the server is not back yet.
      } catch (PodflareException refused) {
        // The sandbox is gone, or this server does not keep execs: nobody knows how it ended.
        isClosed.set(true);
        PodflareException unknown = outcomeUnknown(broken);
        unknown.addSuppressed(refused);
        throw unknown;
      }
    }
    isClosed.set(true);
    throw outcomeUnknown(broken);
  }

  private void goOn(Answer anew, PodflareException broken) {
    answer = anew;
    start = 0;
    end = 0;
    scanned = 0;
    listen();
    if (isClosed.get()) { // By another thread, which has closed the answer before this one.
      answer.close();
      throw Failures.closedMeanwhile("the stream", broken);
    }
  }

  /** Whether the server says so, for a relay that cuts every silence; then all tries count anew. */
  private boolean stillRuns(Exec running) {
    if (transport.retries() == 0) {
      return false;
    }
    try {
      ExecState state = running.info().state();
      boolean runs = state == ExecState.RUNNING || state == ExecState.QUEUED;
      failures = runs ? transport.retries() - 1 : failures;
      return runs;
    } catch (PodflareException unknown) {
      return false;
    }
  }

  private static PodflareException outcomeUnknown(PodflareException broken) {
    return broken.hasCode("outcome_unknown")
        ? broken
        : Failures.outcomeUnknown(broken.sentence(), broken);
  }
}
