package dev.podflare.engine.qemu;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A file of zeros that waits to become the layer of the next cut.
 *
 * <p>While a cut is made, its machine stands still, and most of that time goes into finding pages
 * for the host's cache of the new file: 2 ms for 10 MB on a plain host, 25 ms on a virtual one that
 * gives free memory back. A file that is in the cache already is only written over. It is made
 * ahead of time, by one thread, after a rest that leaves the processors to those who were just
 * started.
 *
 * <p>There is one, so a cut that follows another at once goes without. A file that a crash leaves
 * is replaced.
 *
 * <p>Safe for use by many threads.
 */
final class SpareLayer implements AutoCloseable {

  /** What most cuts write; the rest of a larger one is new. */
  static final int BYTES = 48 << 20;

  private static final System.Logger LOG = System.getLogger(SpareLayer.class.getName());
  private static final long LEAST_FREE_BYTES = 8L * BYTES;
  private static final int BLOCK = 1 << 20;
  private static final Duration REST = Duration.ofMillis(500);
  private static final Duration PAUSE_AFTER_FAILURE = Duration.ofSeconds(30);

  private final Path file;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Thread refill;
  private boolean ready;
  private boolean closed;

  /**
   * @param file where it waits, on the file system of the machines
   */
  SpareLayer(Path file) {
    this.file = file;
    this.refill = Thread.ofVirtual().name("spare-layer").start(this::keepReady);
  }

  /**
   * Gives the file away.
   *
   * @param to its new name, which must be free
   * @return whether there was one
   */
  boolean becomes(Path to) throws IOException {
    lock.lock();
    try {
      if (!ready) {
        return false;
      }
      ready = false;
      changed.signalAll();
      Files.move(file, to);
      return true;
    } finally {
      lock.unlock();
    }
  }

  private void keepReady() {
    try {
      Duration rest = Duration.ZERO;
      while (awaitNeed(rest)) {
        try {
          write();
          rest = REST;
        } catch (IOException e) {
          // Cuts are slower without it, and that is all.
          LOG.log(System.Logger.Level.DEBUG, "no layer can be made ahead of time", e);
          rest = PAUSE_AFTER_FAILURE;
        }
      }
    } catch (InterruptedException closing) {
      Thread.currentThread().interrupt();
    }
  }

  /** Until one is wanted, and then for the rest; false when closed. */
  private boolean awaitNeed(Duration rest) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (ready && !closed) {
        changed.await();
      }
      long left = rest.toNanos();
      while (left > 0 && !closed) {
        left = changed.awaitNanos(left);
      }
      return !closed;
    } finally {
      lock.unlock();
    }
  }

  private void write() throws IOException {
    Files.deleteIfExists(file);
    boolean whole = false;
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      // It is for speed alone, and must not be what fills the disk.
      if (HostDisk.freeBytes(file) < LEAST_FREE_BYTES) {
        throw new IOException("less than " + LEAST_FREE_BYTES + " bytes are free for " + file);
      }
      ByteBuffer zeros = ByteBuffer.allocateDirect(BLOCK);
      for (int at = 0; at < BYTES; at += BLOCK) {
        zeros.clear();
        while (zeros.hasRemaining()) {
          channel.write(zeros);
        }
      }
      whole = true;
    } finally {
      if (!whole) {
        Files.deleteIfExists(file);
      }
    }
    lock.lock();
    try {
      ready = !closed;
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void close() {
    lock.lock();
    try {
      closed = true;
      ready = false;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    try {
      if (!refill.join(Duration.ofMinutes(1))) {
        LOG.log(System.Logger.Level.WARNING, "a layer is still being made ahead of time");
      }
      Files.deleteIfExists(file);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (IOException e) {
      LOG.log(System.Logger.Level.WARNING, "a layer that nobody needs is left in " + file, e);
    }
  }
}
