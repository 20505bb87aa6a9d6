package dev.podflare.sdk;

import java.util.Arrays;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.jspecify.annotations.Nullable;

/**
 * The events of a running exec, one by one. If the connection breaks and the exec has an id, it is
 * attached to again behind the last event, since its output is kept. For one thread at a time.
 */
final class EventReader implements Iterator<Event>, AutoCloseable {
  /** Where to go on after the connection has broken. */
  interface Reattach {
    Answer from(long seq);
  }

  private static final int FIRST_BUFFER_BYTES = 8 * 1024;

  /** A line is one event, of at most 2 MiB from a sound server; this bounds a broken one. */
  private static final int LONGEST_LINE = 64 * 1024 * 1024;

  private final Transport transport;
  private final @Nullable Reattach reattach;
  private Answer answer;
  private byte[] buffer = new byte[FIRST_BUFFER_BYTES];
  private int start;
  private int end;
  private int scanned;
  private long nextSeq;
  private int failures;
  private boolean isFinished;
  private volatile boolean isClosed;
  private @Nullable Event ready;

  EventReader(Transport transport, Answer answer, long from, @Nullable Reattach reattach) {
    this.transport = transport;
    this.answer = answer;
    this.nextSeq = from;
    this.reattach = reattach;
  }

  @Override
  public boolean hasNext() {
    while (ready == null && !isFinished && !isClosed) {
      try {
        ready = receive();
      } catch (ConnectionException broken) {
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

  /** Stops listening. The code runs on unless it has ended. */
  @Override
  public void close() {
    if (!isClosed) {
      isClosed = true;
      if (isFinished) {
        answer.finish();
      } else {
        answer.close();
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
      Event event = event(newline);
      if (event == null) {
        continue;
      }
      failures = 0;
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
    if (length == 0) {
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

  private void goOnAfter(ConnectionException broken) {
    answer.close();
    boolean isOver = isClosed || failures >= transport.retries() || broken.hasCode("interrupted");
    if (reattach == null || isOver) {
      isClosed = true;
      throw outcomeUnknown(broken);
    }
    transport.pause(failures);
    failures++;
    start = 0;
    end = 0;
    scanned = 0;
    try {
      answer = reattach.from(nextSeq);
    } catch (NotFoundException gone) {
      // The sandbox is gone, or this server does not keep execs: nobody knows how it ended.
      isClosed = true;
      throw outcomeUnknown(broken);
    } catch (ConnectionException again) {
      if (failures >= transport.retries()) {
        isClosed = true;
        throw outcomeUnknown(again);
      }
    }
  }

  private static ConnectionException outcomeUnknown(ConnectionException broken) {
    return broken.hasCode("outcome_unknown") || broken.hasCode("interrupted")
        ? broken
        : Failures.outcomeUnknown(broken.sentence(), broken);
  }
}
