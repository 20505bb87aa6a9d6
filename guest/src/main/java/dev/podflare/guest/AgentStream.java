package dev.podflare.guest;

import java.util.ArrayDeque;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * One operation in the guest, as the host sees it: what has arrived and waits for its reader, and
 * the credit of both directions.
 *
 * <p>The connection's reading thread puts frames in and never waits here; the thread that asked for
 * the operation takes them out. What waits is bounded three times: by credit (a guest that
 * overdraws it violates the protocol), by the cap on an exec's output, and by the number of pieces.
 * A stream that was left holds nothing: what still arrives is given back as credit at once.
 */
final class AgentStream {

  private final int number;
  private final Operation operation;
  private final Outbox outbox;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final ArrayDeque<Piece> pieces = new ArrayDeque<>();
  private final OutputCap cap = new OutputCap();

  private int waitingBytes;
  private long guestMaySend = Limits.WINDOW;
  private long hostMaySend = Limits.WINDOW;
  private int toGiveBack;
  private boolean left;
  private @Nullable Piece started;
  private @Nullable Piece closed;
  private @Nullable GuestLoss loss;

  AgentStream(int number, Operation operation, Outbox outbox) {
    this.number = number;
    this.operation = operation;
    this.outbox = outbox;
  }

  int number() {
    return number;
  }

  Operation operation() {
    return operation;
  }

  // ---- for the thread that reads the channel ----

  /** Takes in a frame that the guest sent. */
  void accept(Frame frame) throws ProtocolViolation {
    lock.lock();
    try {
      switch (frame.kind()) {
        case CREDIT -> acceptCredit(frame);
        case CLOSED -> acceptClosed(frame);
        case STARTED -> acceptStarted(frame);
        default -> acceptPayload(frame);
      }
    } finally {
      lock.unlock();
    }
  }

  private void acceptCredit(Frame frame) throws ProtocolViolation {
    if (frame.length() != Integer.BYTES) {
      throw new ProtocolViolation("it sent CREDIT of %d bytes".formatted(frame.length()));
    }
    byte[] bytes = frame.payload();
    long given =
        (bytes[0] & 0xFFL) << 24
            | (bytes[1] & 0xFFL) << 16
            | (bytes[2] & 0xFFL) << 8
            | (bytes[3] & 0xFFL);
    hostMaySend += given;
    if (!operation.takesData() || hostMaySend > Limits.WINDOW) {
      throw new ProtocolViolation("it gave credit for bytes that it was never sent");
    }
    changed.signalAll();
  }

  private void acceptClosed(Frame frame) throws ProtocolViolation {
    if (frame.length() > operation.longestClosed()) {
      throw new ProtocolViolation(
          "it closed '%s' with %,d bytes".formatted(operation.word(), frame.length()));
    }
    closed = new Piece(FrameKind.CLOSED, frame.payload(), frame.length());
    changed.signalAll();
  }

  private void acceptStarted(Frame frame) throws ProtocolViolation {
    if (!operation.carries(FrameKind.STARTED) || started != null) {
      throw new ProtocolViolation(
          started == null
              ? "it sent STARTED in '" + operation.word() + "'"
              : "it sent STARTED twice");
    }
    started = new Piece(FrameKind.STARTED, frame.payload(), frame.length());
    changed.signalAll();
  }

  private void acceptPayload(Frame frame) throws ProtocolViolation {
    FrameKind kind = frame.kind();
    if (!operation.carries(kind)) {
      throw new ProtocolViolation("it sent %s in '%s'".formatted(kind, operation.word()));
    }
    if (operation.carries(FrameKind.STARTED) && started == null) {
      throw new ProtocolViolation("it sent output of a terminal before STARTED");
    }
    if (guestMaySend <= 0) {
      throw new ProtocolViolation(
          "it sent more in '%s' than its credit".formatted(operation.word()));
    }
    int length = frame.length();
    guestMaySend -= length;
    int kept = left ? 0 : operation == Operation.EXEC ? cap.admit(kind, length) : length;
    if (kept > 0 && !enqueue(kind, frame.payload(), kept)) {
      cap.drop(kept);
      kept = 0;
    }
    giveBack(length - kept);
  }

  private boolean enqueue(FrameKind kind, byte[] bytes, int length) {
    Piece last = pieces.peekLast();
    if (last == null || !last.append(kind, bytes, length)) {
      if (pieces.size() >= Limits.PIECES) {
        return false;
      }
      pieces.add(new Piece(kind, bytes, length));
    }
    waitingBytes += length;
    changed.signalAll();
    return true;
  }

  /** Ends the stream because the guest is lost. What has arrived before can still be taken. */
  void lose(GuestLoss how) {
    lock.lock();
    try {
      loss = how;
      if (left) {
        pieces.clear();
      }
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  // ---- for the thread that asked for the operation ----

  /**
   * Takes the next thing that the guest sent, waiting for it. At the end, and from then on, that is
   * its {@code CLOSED}.
   *
   * @return null if nothing came until the deadline
   * @throws GuestLostException if the guest was lost, and all that came before has been taken
   */
  @Nullable Piece take(Deadline deadline) throws InterruptedException, GuestLostException {
    lock.lockInterruptibly();
    try {
      while (true) {
        Piece piece = pieces.poll();
        if (piece != null) {
          waitingBytes -= piece.length();
          giveBack(piece.length());
          return piece;
        }
        if (closed != null) {
          return closed;
        }
        if (!await(deadline)) {
          return null;
        }
      }
    } finally {
      lock.unlock();
    }
  }

  /** Waits for the {@code CLOSED}, whether or not what came before has been taken. */
  Piece awaitClosed() throws InterruptedException, GuestLostException {
    Deadline never = Deadline.never();
    lock.lockInterruptibly();
    try {
      while (closed == null) {
        await(never);
      }
      return closed;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Waits for the {@code STARTED}.
   *
   * @return the {@code CLOSED} if the guest has not started; null if it says nothing
   */
  @Nullable Piece awaitStarted(Deadline deadline) throws InterruptedException, GuestLostException {
    lock.lockInterruptibly();
    try {
      while (started == null && closed == null && await(deadline)) {}
      return started == null ? closed : started;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Waits until the guest can send no more before its reader takes something: because all has been
   * sent, or for want of credit.
   *
   * @return the {@code CLOSED}, or null if it has not been sent
   */
  @Nullable Piece awaitStandstill(Deadline deadline)
      throws InterruptedException, GuestLostException {
    lock.lockInterruptibly();
    try {
      while (closed == null && guestMaySend > 0 && await(deadline)) {}
      return closed;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Waits until the host may send data.
   *
   * @return false if it may not before the deadline, or never again because the guest has closed
   */
  boolean awaitCredit(Deadline deadline) throws InterruptedException, GuestLostException {
    lock.lockInterruptibly();
    try {
      while (closed == null && hostMaySend <= 0) {
        if (!await(deadline)) {
          return false;
        }
      }
      return closed == null;
    } finally {
      lock.unlock();
    }
  }

  /** Waits for a change, of which every caller finds out for itself; false at the deadline. */
  @SuppressWarnings("WaitNotInLoop") // The loops are the callers'.
  private boolean await(Deadline deadline) throws InterruptedException, GuestLostException {
    if (loss != null) {
      throw new GuestLostException(loss);
    }
    long remaining = deadline.remainingNanos();
    if (remaining <= 0) {
      return false;
    }
    changed.awaitNanos(remaining);
    return true;
  }

  /**
   * Sends a frame of this stream, once there is room for it on its way; see {@link Outbox#send}.
   */
  boolean send(FrameKind kind, byte[] payload, int length, Deadline deadline)
      throws InterruptedException {
    if (kind == FrameKind.DATA) {
      lock.lock();
      try {
        hostMaySend -= length;
      } finally {
        lock.unlock();
      }
    }
    return outbox.send(new Frame(kind, number, payload, length), deadline);
  }

  /** Asks the guest to stop the code that runs. Does nothing if it has ended. */
  void cancel(CancelReason reason) {
    lock.lock();
    try {
      if (closed == null && loss == null) {
        outbox.offer(new Frame(FrameKind.CANCEL, number, AgentJson.cancel(reason.word())));
      }
    } finally {
      lock.unlock();
    }
  }

  /** Tells the guest something about what runs. Does nothing if that has ended. */
  void control(byte[] payload) {
    lock.lock();
    try {
      if (closed == null && loss == null) {
        outbox.offer(new Frame(FrameKind.CONTROL, number, payload));
      }
    } finally {
      lock.unlock();
    }
  }

  /** Says that nobody takes anything from this stream any more. It holds no memory from now on. */
  void leave() {
    lock.lock();
    try {
      if (left) {
        return;
      }
      left = true;
      pieces.clear();
      int forgotten = waitingBytes;
      waitingBytes = 0;
      if (closed == null && loss == null) {
        if (operation.canBeLeft()) {
          outbox.post(new Frame(FrameKind.CANCEL, number, AgentJson.cancel("gone")));
        }
        giveBack(forgotten);
      }
    } finally {
      lock.unlock();
    }
  }

  private void giveBack(int bytes) {
    toGiveBack += bytes;
    if (toGiveBack >= Limits.CREDIT_STEP && closed == null && loss == null) {
      int given = toGiveBack - (ResyncToken.mayBeginIn(toGiveBack) ? 1 : 0);
      guestMaySend += given;
      outbox.post(Frame.credit(number, given));
      toGiveBack -= given;
    }
  }

  /** Bytes of output that the host itself dropped. */
  long dropped() {
    lock.lock();
    try {
      return cap.dropped();
    } finally {
      lock.unlock();
    }
  }

  /** Whether the guest has used up its credit, and can go on only when its reader does. */
  boolean waitsForReader() {
    lock.lock();
    try {
      return guestMaySend <= 0 && closed == null && loss == null;
    } finally {
      lock.unlock();
    }
  }

  /** Pieces that wait for their reader. */
  int waitingPieces() {
    lock.lock();
    try {
      return pieces.size();
    } finally {
      lock.unlock();
    }
  }

  /** Bytes that wait for their reader. */
  int waitingBytes() {
    lock.lock();
    try {
      return waitingBytes;
    } finally {
      lock.unlock();
    }
  }
}
