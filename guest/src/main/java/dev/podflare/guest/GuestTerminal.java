package dev.podflare.guest;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;

/**
 * A program on a terminal in a guest.
 *
 * <p>Its output is for one reader, its input from one writer at a time; the other methods may be
 * called from any thread. A reader that stops taking output stops the program at its next one, once
 * a window of 256 KiB is full; so does a program that reads nothing with its writer.
 */
public final class GuestTerminal implements AutoCloseable {

  private final AgentConnection connection;
  private final AgentStream stream;
  private final int pid;

  GuestTerminal(AgentConnection connection, AgentStream stream, int pid) {
    this.connection = connection;
    this.stream = stream;
    this.pid = pid;
  }

  AgentStream stream() {
    return stream;
  }

  /** The guest's number of the first process on it. */
  public int pid() {
    return pid;
  }

  /**
   * Waits for output, however long the program is silent.
   *
   * @return empty once the program has ended
   * @throws GuestLostException if the guest was lost; what came before has been handed over
   */
  public Optional<ByteBuffer> next() throws GuestException, InterruptedException {
    Piece piece = stream.take(Deadline.never());
    if (piece == null || piece.kind() == FrameKind.CLOSED) {
      return Optional.empty();
    }
    return Optional.of(piece.asBuffer());
  }

  /**
   * Waits until the program has ended, and gives its exit code as a shell would say it. While
   * nobody takes output, and this is not {@linkplain #close() closed}, the program may wait for
   * that.
   */
  public int exitCode() throws GuestException, InterruptedException {
    Piece closed = stream.awaitClosed();
    try {
      return Closing.terminal(closed);
    } catch (ProtocolViolation violation) {
      throw connection.violated(violation);
    }
  }

  /**
   * Types, as fast as the program reads.
   *
   * @param longest how long the program may take nothing at all
   * @return false if it did for so long, or has ended; then a part may have been typed
   */
  public boolean write(byte[] bytes, Duration longest)
      throws GuestLostException, InterruptedException {
    for (int at = 0; at < bytes.length; at += Limits.BLOCK) {
      Deadline deadline = Deadline.in(longest);
      // The outbox keeps what it is given, and the caller may use its own again.
      byte[] block = Arrays.copyOfRange(bytes, at, Math.min(bytes.length, at + Limits.BLOCK));
      if (!stream.awaitCredit(deadline)
          || !stream.send(FrameKind.DATA, block, block.length, deadline)) {
        return false;
      }
    }
    return true;
  }

  /** Gives the terminal another size, of which the program is told. */
  public void resize(int cols, int rows) {
    stream.control(AgentJson.resize(cols, rows));
  }

  /**
   * Sends a signal to what runs in the terminal's foreground.
   *
   * @param name of a signal, as {@code SIGINT}
   */
  public void signal(String name) {
    stream.control(AgentJson.signal(name));
  }

  /** Kills the program. Its end is still told, its output is not. */
  @Override
  public void close() {
    stream.leave();
  }
}
