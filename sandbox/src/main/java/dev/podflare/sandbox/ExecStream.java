package dev.podflare.sandbox;

import java.time.Duration;
import java.util.List;

/**
 * The events of one exec, for one reader. An exec may have any number of these.
 *
 * <p>Closing it says that this reader reads no more: the code runs on to its end, and its output is
 * kept for the next one. The sandbox's next exec waits for that end all the same.
 */
public interface ExecStream extends AutoCloseable {

  /** The exec that it is of. */
  ExecId id();

  /**
   * Waits for the next event, and gives it with those that are there already, in order; empty after
   * the {@link ExecEvent.Exit}, with which every stream ends. Never fails because of the guest: a
   * microVM that dies gives an {@code Exit} that says so.
   */
  List<ToldEvent> next() throws InterruptedException;

  /** The same, but waits no longer than this; empty also if nothing came. */
  List<ToldEvent> next(Duration longest) throws InterruptedException;

  @Override
  void close();
}
