package dev.podflare.sandbox;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Blocks of one size on disk, for what execs have said and memory is too small for.
 *
 * <p>One file that has no name, so that it is gone with the process, however that ends; and one for
 * all execs, so that it takes one descriptor. It has the size that was once needed at most, and is
 * cut when nothing is in it.
 */
final class ExecBlocks implements AutoCloseable {

  static final int BLOCK = 32 << 10;

  private final ReentrantLock lock = new ReentrantLock();
  private final BitSet used = new BitSet();

  /** Not a channel, which the interrupt of any thread that reads it would close for all. */
  private final RandomAccessFile file;

  private ExecBlocks(RandomAccessFile file) {
    this.file = file;
  }

  /**
   * @param directory on a disk with room
   */
  static ExecBlocks in(Path directory) throws IOException {
    Path path = Files.createTempFile(directory, "execs-", ".tmp");
    try {
      return new ExecBlocks(new RandomAccessFile(path.toFile(), "rw"));
    } finally {
      Files.delete(path);
    }
  }

  /**
   * Stores a block.
   *
   * @return its number, until it is freed
   */
  int write(byte[] block) throws IOException {
    lock.lock();
    try {
      int number = used.nextClearBit(0);
      file.seek((long) number * BLOCK);
      file.write(block, 0, BLOCK);
      used.set(number);
      return number;
    } finally {
      lock.unlock();
    }
  }

  void read(int number, byte[] block) throws IOException {
    lock.lock();
    try {
      file.seek((long) number * BLOCK);
      file.readFully(block, 0, BLOCK);
    } finally {
      lock.unlock();
    }
  }

  void free(int number) {
    lock.lock();
    try {
      used.clear(number);
      if (used.isEmpty()) {
        file.setLength(0);
      }
    } catch (IOException stays) {
      System.getLogger(ExecBlocks.class.getName())
          .log(System.Logger.Level.DEBUG, "the file of execs keeps its size", stays);
    } finally {
      lock.unlock();
    }
  }

  /** How many blocks are in use. */
  int count() {
    lock.lock();
    try {
      return used.cardinality();
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void close() throws IOException {
    lock.lock();
    try {
      file.close();
    } finally {
      lock.unlock();
    }
  }
}
