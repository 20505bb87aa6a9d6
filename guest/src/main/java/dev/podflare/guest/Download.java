package dev.podflare.guest;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.time.Duration;
import java.util.Objects;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** The bytes of a file as the guest sends them; taking them is what lets it send more. */
final class Download extends InputStream {

  private final AgentConnection connection;
  private final AgentStream stream;
  private final Duration patience;

  private long promised = Long.MAX_VALUE;
  private long given;
  private long received;
  private @Nullable Piece piece;
  private int pieceTaken;
  private boolean ended;

  Download(AgentConnection connection, AgentStream stream, Duration patience) {
    this.connection = connection;
    this.stream = stream;
    this.patience = patience;
  }

  /**
   * Waits for the guest's first word, and settles how much will be given.
   *
   * @param statSize the size that the file was said to have; 0 means that nothing is known
   * @return how much will be given, if that is known
   */
  OptionalLong begin(long statSize) throws GuestException, InterruptedException {
    if (statSize <= Limits.WINDOW) {
      Piece closed = stream.awaitStandstill(Deadline.in(patience));
      if (closed != null) {
        try {
          return OptionalLong.of(Closing.size(closed));
        } catch (ProtocolViolation violation) {
          throw connection.violated(violation);
        }
      }
    }
    advance();
    if (statSize == 0) {
      return OptionalLong.empty();
    }
    promised = statSize;
    return OptionalLong.of(statSize);
  }

  @Override
  public int read() throws IOException {
    byte[] one = new byte[1];
    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xFF;
  }

  @Override
  public int read(byte[] into, int offset, int length) throws IOException {
    Objects.checkFromIndexSize(offset, length, into.length);
    if (length == 0) {
      return 0;
    }
    if (given == promised) {
      close();
      return -1;
    }
    try {
      if (!advance()) {
        return -1;
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw (IOException)
          new InterruptedIOException("interrupted while reading a file of a sandbox")
              .initCause(interrupted);
    }
    Piece from = Objects.requireNonNull(piece);
    int step = (int) Math.min(Math.min(length, from.length() - pieceTaken), promised - given);
    System.arraycopy(from.bytes(), pieceTaken, into, offset, step);
    pieceTaken += step;
    given += step;
    return step;
  }

  /** Makes the current piece one that has something left; false at the end. */
  private boolean advance() throws GuestException, InterruptedException {
    if (piece != null && pieceTaken < piece.length()) {
      return true;
    }
    piece = null;
    if (ended) {
      return false;
    }
    Piece next = stream.take(Deadline.in(patience));
    if (next == null) {
      throw new GuestSilentException(
          "The sandbox has sent nothing of the file for " + patience.toSeconds() + " s.");
    }
    if (next.kind() == FrameKind.CLOSED) {
      ended = true;
      end(next);
      return false;
    }
    piece = next;
    pieceTaken = 0;
    received += next.length();
    return true;
  }

  private void end(Piece closed) throws GuestException {
    try {
      if (Closing.size(closed) != received) {
        throw new ProtocolViolation("it sent another number of bytes of a file than it says");
      }
    } catch (ProtocolViolation violation) {
      throw connection.violated(violation);
    }
    if (received < promised && promised != Long.MAX_VALUE) {
      throw new GuestRefusedException(
          "io_error", "The file became shorter while it was being read.");
    }
  }

  @Override
  public void close() {
    ended = true;
    piece = null;
    stream.leave();
  }
}
