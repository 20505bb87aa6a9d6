package dev.podflare.sandbox;

import java.time.Duration;
import java.util.Optional;

/**
 * A terminal, as somebody has it before him: what it said last, what it says, and its keys.
 *
 * <p>Closing it is going away. The terminal goes on, and keeps what it says for who comes next.
 */
public interface TerminalStream extends AutoCloseable {

  TerminalInfo info();

  /**
   * Waits for what comes next; the first is what the terminal said before. For one thread.
   *
   * @return empty if nothing came for so long, and after the last event
   */
  Optional<TerminalEvent> next(Duration longest) throws InterruptedException;

  /**
   * Types, as fast as the program reads; for one thread. After the terminal's end, and for who has
   * been taken over, it does nothing.
   *
   * @return false if the program took nothing for so long that the rest was thrown away
   */
  boolean write(byte[] bytes) throws InterruptedException;

  /** Gives the terminal another size. */
  void resize(int cols, int rows);

  /** Sends a signal to what runs in the foreground. */
  void signal(TerminalSignal signal);

  @Override
  void close();
}
