package dev.podflare.guest;

import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;

/** Sends a file to the guest, no faster than the guest takes it. */
final class Upload {

  private static final byte[] NOTHING = {};

  private final AgentStream stream;
  private final Duration patience;

  Upload(AgentStream stream, Duration patience) {
    this.stream = stream;
    this.patience = patience;
  }

  /**
   * Sends everything, and waits for the end.
   *
   * @return how many bytes the guest says it has stored
   * @throws IOException also if the source fails
   */
  long send(InputStream source) throws IOException, InterruptedException, ProtocolViolation {
    long sent = sendAll(source);
    long stored = Closing.size(closed(Deadline.in(patience)));
    if (stored != sent) {
      throw new ProtocolViolation("it stored another number of bytes of a file than it was sent");
    }
    return stored;
  }

  /**
   * Sends everything, and says that it was all.
   *
   * @return how many bytes that were
   * @throws IOException also if the source fails
   */
  long sendAll(InputStream source) throws IOException, InterruptedException, ProtocolViolation {
    long sent = 0;
    boolean more = true;
    while (more) {
      // Each block is given away to the outbox, so none is used twice.
      byte[] block = new byte[Limits.BLOCK];
      int length = source.readNBytes(block, 0, block.length);
      more = length == block.length;
      Deadline deadline = Deadline.in(patience);
      if (length > 0) {
        if (!stream.awaitCredit(deadline)) {
          throw endedEarly();
        }
        sendFrame(FrameKind.DATA, block, length, deadline);
        sent += length;
      }
    }
    sendFrame(FrameKind.END, NOTHING, 0, Deadline.in(patience));
    return sent;
  }

  private void sendFrame(FrameKind kind, byte[] payload, int length, Deadline deadline)
      throws InterruptedException, GuestSilentException {
    if (!stream.send(kind, payload, length, deadline)) {
      throw silent();
    }
  }

  /** The guest has closed before the last byte, or it gives no credit. */
  private GuestException endedEarly()
      throws InterruptedException, GuestException, ProtocolViolation {
    Closing.size(closed(Deadline.in(Duration.ZERO)));
    throw new ProtocolViolation(
        "it closed '" + stream.operation().word() + "' before it had the whole file");
  }

  private Piece closed(Deadline deadline)
      throws InterruptedException, GuestException, ProtocolViolation {
    Piece piece = stream.take(deadline);
    if (piece == null) {
      throw silent();
    }
    return piece;
  }

  private GuestSilentException silent() {
    return new GuestSilentException(
        "The sandbox has taken nothing of the file for " + patience.toSeconds() + " s.");
  }
}
