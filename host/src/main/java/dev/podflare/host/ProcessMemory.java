package dev.podflare.host;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * A range of another process's memory, most of which is mapped privately from files: which pages of
 * it the process has made its own by writing to them, and what is in them.
 *
 * <p>The process must stand still meanwhile, and the caller must be root.
 *
 * @param pid the process
 * @param address of the range's first byte, on a page boundary
 * @param length in bytes, whole pages
 */
public record ProcessMemory(long pid, long address, long length) {

  /** Of every machine that this product runs on. */
  public static final int PAGE = 4096;

  /** With less, a second thread is not worth its start. */
  private static final long WORTH_TWO_THREADS = 2 << 20;

  /**
   * The pages that the process has written to.
   *
   * @param gap pages of others between two that are found are taken in, if there are no more of
   *     them than this: they cost less than a further extent
   * @return extents relative to the start of this range, in ascending order, none touching the next
   */
  public List<Extent> written(int gap) throws IOException {
    List<Extent> joined = new ArrayList<>();
    long begin = -1;
    long end = -1;
    for (Extent pages : new PageScan(pid, address, length).ownPages()) {
      if (begin >= 0 && pages.offset() - end > gap) {
        joined.add(new Extent(begin * PAGE, (end - begin) * PAGE));
        begin = -1;
      }
      begin = begin < 0 ? pages.offset() : begin;
      end = pages.end();
    }
    if (begin >= 0) {
      joined.add(new Extent(begin * PAGE, (end - begin) * PAGE));
    }
    return joined;
  }

  /**
   * Writes the content of extents of this range one after the other into a file. Half of it by a
   * thread of its own: whoever waits for this stands still.
   *
   * @param position in the file where the first one begins
   */
  public void copy(List<Extent> extents, FileChannel to, long position) throws IOException {
    if (Extent.bytes(extents) < WORTH_TWO_THREADS) {
      copyInOneThread(extents, to, position);
      return;
    }
    long half = half(extents);
    List<Extent> first = Extent.first(half, extents);
    List<Extent> second = Extent.after(half, extents);
    // Not a virtual one: it would keep one of the few threads that carry them all.
    try (ExecutorService aside =
        Executors.newThreadPerTaskExecutor(Thread.ofPlatform().name("copy-", 0).factory())) {
      Future<Boolean> copied =
          aside.submit(() -> {
            copyInOneThread(second, to, position + half);
            return true;
          });
      copyInOneThread(first, to, position);
      boolean _ = copied.get();
    } catch (ExecutionException e) {
      throw e.getCause() instanceof IOException failed ? failed : new IOException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while memory was copied", e);
    }
  }

  /** Half of the bytes of extents, as whole pages: for whoever shares them between two threads. */
  public static long half(List<Extent> extents) {
    return Extent.bytes(extents) / 2 / PAGE * PAGE;
  }

  private void copyInOneThread(List<Extent> extents, FileChannel to, long position)
      throws IOException {
    long written = position;
    try (RemoteReads reads = new RemoteReads(pid)) {
      for (Extent extent : extents) {
        for (long at = extent.offset(); at < extent.end(); ) {
          int count = reads.add(address + at, extent.end() - at);
          at += count;
          if (count == 0) {
            written += writeOut(reads.read(), to, written);
          }
        }
      }
      writeOut(reads.read(), to, written);
    }
  }

  private static int writeOut(ByteBuffer bytes, FileChannel to, long position) throws IOException {
    int count = bytes.remaining();
    while (bytes.hasRemaining()) {
      to.write(bytes, position + bytes.position());
    }
    return count;
  }

  /**
   * Where nothing but zeros is.
   *
   * @param extents of this range, to look at
   * @param least pages in a row that count
   */
  public List<Extent> zeros(List<Extent> extents, int least) throws IOException {
    List<Extent> found = new ArrayList<>();
    ByteBuffer page = ByteBuffer.allocateDirect(PAGE);
    ByteBuffer zeros = ByteBuffer.allocateDirect(PAGE);
    try (FileChannel memory =
        FileChannel.open(Path.of("/proc/" + pid + "/mem"), StandardOpenOption.READ)) {
      for (Extent extent : extents) {
        long begin = extent.offset();
        for (long at = extent.offset(); at < extent.end(); at += PAGE) {
          readFully(memory, page.clear(), address + at);
          if (page.flip().mismatch(zeros.clear()) >= 0) {
            addIfLong(begin, at, least, found);
            begin = at + PAGE;
          }
        }
        addIfLong(begin, extent.end(), least, found);
      }
    }
    return found;
  }

  private static void addIfLong(long begin, long end, int least, List<Extent> to) {
    if (end - begin >= (long) least * PAGE) {
      to.add(new Extent(begin, end - begin));
    }
  }

  static void readFully(FileChannel file, ByteBuffer into, long position) throws IOException {
    long at = position;
    while (into.hasRemaining()) {
      int count = file.read(into, at);
      if (count < 0) {
        throw new IOException("the memory of a process ended at " + at);
      }
      at += count;
    }
  }
}
