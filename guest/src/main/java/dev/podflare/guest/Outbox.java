package dev.podflare.guest;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Frames on their way to the guest, written by one thread of their own.
 *
 * <p>A thread that calls the guest never touches the channel: an interrupt of a thread that writes
 * would close the channel, and with it lose the microVM. Nor may the thread that reads ever wait
 * for a guest that doesn't read.
 *
 * <p>What may be large waits for room ({@link #send}); what is small and bounded by the protocol
 * itself, as credit is, never waits ({@link #post}).
 */
final class Outbox {

  /** Callers wait while more than this is queued. */
  private static final int ROOM = 256 << 10;

  /** A guest that leaves so many frames unread gets no more that can be done without. */
  private static final int PATIENT_FRAMES = 1024;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition filled = lock.newCondition();
  private final Condition drained = lock.newCondition();
  private final ArrayDeque<Frame> frames = new ArrayDeque<>();
  private long queuedBytes;
  private boolean closed;

  /**
   * Queues a frame, once there is room.
   *
   * @return false if there was none until the deadline; a closed outbox always has room, and
   *     forgets what is put in
   */
  boolean send(Frame frame, Deadline deadline) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (queuedBytes > ROOM && !closed) {
        long remaining = deadline.remainingNanos();
        if (remaining <= 0) {
          return false;
        }
        drained.awaitNanos(remaining);
      }
      add(frame);
      return true;
    } finally {
      lock.unlock();
    }
  }

  /** Queues a small frame at once. */
  void post(Frame frame) {
    lock.lock();
    try {
      add(frame);
    } finally {
      lock.unlock();
    }
  }

  /** Queues a small frame that may as well be lost if the guest doesn't read what it is sent. */
  void offer(Frame frame) {
    lock.lock();
    try {
      if (frames.size() < PATIENT_FRAMES) {
        add(frame);
      }
    } finally {
      lock.unlock();
    }
  }

  private void add(Frame frame) {
    if (closed) {
      return;
    }
    frames.add(frame);
    queuedBytes += frame.length();
    filled.signal();
  }

  /** Writes what is queued and what will be, until the outbox is closed or the channel fails. */
  void writeTo(FrameWriter writer) throws IOException, InterruptedException {
    while (true) {
      Frame frame = poll();
      if (frame == null) {
        writer.flush();
        frame = take();
        if (frame == null) {
          return;
        }
      }
      writer.write(frame);
    }
  }

  private @Nullable Frame poll() {
    lock.lock();
    try {
      return remove();
    } finally {
      lock.unlock();
    }
  }

  private @Nullable Frame take() throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (frames.isEmpty() && !closed) {
        filled.await();
      }
      return remove();
    } finally {
      lock.unlock();
    }
  }

  private @Nullable Frame remove() {
    Frame frame = frames.poll();
    if (frame != null) {
      boolean wasFull = queuedBytes > ROOM;
      queuedBytes -= frame.length();
      if (wasFull && queuedBytes <= ROOM) {
        drained.signalAll();
      }
    }
    return frame;
  }

  /** Forgets what is queued, lets the writing thread end and frees everybody who waits. */
  void close() {
    lock.lock();
    try {
      closed = true;
      frames.clear();
      queuedBytes = 0;
      filled.signalAll();
      drained.signalAll();
    } finally {
      lock.unlock();
    }
  }
}
