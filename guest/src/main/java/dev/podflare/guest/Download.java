package dev.podflare.guest;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.time.Duration;
import java.util.Arrays;
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
  // Of the hole that is being read.
  private long zerosLeft;
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
    int most = (int) Math.min(length, promised - given);
    int step = zerosLeft > 0 ? readZeros(into, offset, most) : readPiece(into, offset, most);
    given += step;
    return step;
  }

  private int readZeros(byte[] into, int offset, int most) {
    int step = (int) Math.min(most, zerosLeft);
    Arrays.fill(into, offset, offset + step, (byte) 0);
    zerosLeft -= step;
    return step;
  }

  private int readPiece(byte[] into, int offset, int most) {
    Piece from = Objects.requireNonNull(piece);
    int step = Math.min(most, from.length() - pieceTaken);
    System.arraycopy(from.bytes(), pieceTaken, into, offset, step);
    pieceTaken += step;
    return step;
  }

  /** Makes the current piece or hole one that has something left; false at the end. */
  private boolean advance() throws GuestException, InterruptedException {
    if (zerosLeft > 0) {
      return true;
    }
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
    if (next.kind() == FrameKind.HOLE) {
      zerosLeft = holeOf(next);
      received += zerosLeft;
      return true;
    }
    piece = next;
    pieceTaken = 0;
    received += next.length();
    return true;
  }

  private long holeOf(Piece told) throws GuestException {
    long size = told.length() == Long.BYTES ? told.asBuffer().getLong() : 0;
    if (size <= 0 || size > Long.MAX_VALUE - received) {
      throw connection.violated(new ProtocolViolation("it sent a hole that can't be"));
    }
    return size;
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
    zerosLeft = 0;
    stream.leave();
  }
}
