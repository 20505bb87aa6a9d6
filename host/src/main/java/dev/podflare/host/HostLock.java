package dev.podflare.host;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Held while something is changed that all servers of this host share: {@linkplain Lease leases},
 * and the host's half of the {@linkplain SandboxNetwork network policy}. One holder at a time, in
 * whichever process; a process that dies lets go.
 */
final class HostLock implements AutoCloseable {

  /** Under /run, because what it guards means nothing after a reboot. */
  static final Path DIRECTORY = Path.of("/run/podflare");

  /** A file lock is the process's, not the thread's: fcntl_locking(2). */
  private static final ReentrantLock AMONG_THREADS = new ReentrantLock();

  private final FileChannel file;

  private HostLock(FileChannel file) {
    this.file = file;
  }

  static HostLock acquire() throws HostException {
    AMONG_THREADS.lock();
    try {
      Files.createDirectories(DIRECTORY);
      FileChannel file =
          FileChannel.open(
              DIRECTORY.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      try {
        var _ = file.lock();
        return new HostLock(file);
      } catch (IOException | RuntimeException e) {
        file.close();
        throw e;
      }
    } catch (IOException | RuntimeException e) {
      AMONG_THREADS.unlock();
      throw new HostException("the lock in " + DIRECTORY + " can't be taken", e);
    }
  }

  @Override
  public void close() throws HostException {
    try {
      file.close();
    } catch (IOException e) {
      throw new HostException("the lock in " + DIRECTORY + " can't be given back", e);
    } finally {
      AMONG_THREADS.unlock();
    }
  }
}
