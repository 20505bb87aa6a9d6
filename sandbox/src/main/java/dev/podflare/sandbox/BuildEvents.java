package dev.podflare.sandbox;

import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * What a build says, on its way to the one who reads it.
 *
 * <p>Holds little: a build that says much waits for its reader, as a program waits for a slow
 * terminal. If the reader goes, what the build says from then on is thrown away.
 */
final class BuildEvents implements TemplateBuild {

  /** Characters that wait for the reader at most. */
  private static final int MOST_WAITING = 256 << 10;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final InstantSource clock;
  private final ArrayDeque<ToldEvent> waiting = new ArrayDeque<>();
  private long characters;
  private long told;
  private boolean left;
  private boolean ended;

  BuildEvents(InstantSource clock) {
    this.clock = clock;
  }

  /**
   * Says something, once there is room for it.
   *
   * @return false if the reader did not make room within this time; it was not said then
   */
  boolean say(ExecEvent event, Duration longest) throws InterruptedException {
    long leftNanos = longest.toNanos();
    lock.lockInterruptibly();
    try {
      while (characters > MOST_WAITING && !left) {
        if (leftNanos <= 0) {
          return false;
        }
        leftNanos = changed.awaitNanos(leftNanos);
      }
      add(event);
      return true;
    } finally {
      lock.unlock();
    }
  }

  /** Says the last events, for which there is always room. */
  void end(List<ExecEvent> last) {
    lock.lock();
    try {
      last.forEach(this::add);
      ended = true;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private void add(ExecEvent event) {
    if (!left) {
      waiting.add(new ToldEvent(told++, clock.instant(), event));
      characters += length(event);
      changed.signalAll();
    }
  }

  private static long length(ExecEvent event) {
    return switch (event) {
      case ExecEvent.Stdout(String text) -> text.length();
      case ExecEvent.Stderr(String text) -> text.length();
      case ExecEvent.Result(var bundle) -> bundle.values().stream().mapToLong(String::length).sum();
      case ExecEvent.Failure failure -> failure.value().length() + failure.traceback().length();
      case ExecEvent.Exit _, ExecEvent.Gap _, ExecEvent.Waiting _ -> 0;
    };
  }

  @Override
  public List<ToldEvent> next() throws InterruptedException {
    return next(Duration.ofNanos(Long.MAX_VALUE));
  }

  @Override
  public List<ToldEvent> next(Duration longest) throws InterruptedException {
    long leftNanos = longest.toNanos();
    lock.lockInterruptibly();
    try {
      while (waiting.isEmpty() && !ended && leftNanos > 0) {
        leftNanos = changed.awaitNanos(leftNanos);
      }
      List<ToldEvent> all = new ArrayList<>(waiting);
      waiting.clear();
      characters = 0;
      changed.signalAll();
      return all;
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void close() {
    lock.lock();
    try {
      left = true;
      waiting.clear();
      characters = 0;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }
}
