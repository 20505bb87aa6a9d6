package dev.podflare.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.ByteBuffer;

/**
 * Reads many places of another process's memory with one system call: process_vm_readv(2). To read
 * {@code /proc/PID/mem} costs a second copy, and a look-up for every page.
 *
 * <p>For one thread. The caller needs the right to trace the process.
 */
final class RemoteReads implements AutoCloseable {

  private static final int CAPACITY = 256 << 10;

  /** Places that are read at once; the kernel takes 1024. */
  private static final int MOST_PLACES = 512;

  /** {@code struct iovec}: an address and a length, of 8 bytes each. */
  private static final int PLACE_BYTES = 16;

  private static final MethodHandle READ =
      CLibrary.function(
          "process_vm_readv",
          FunctionDescriptor.of(
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_INT,
              ValueLayout.ADDRESS,
              ValueLayout.JAVA_LONG,
              ValueLayout.ADDRESS,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG));

  private final long pid;
  private final Arena arena = Arena.ofConfined();
  private final MemorySegment buffer = arena.allocate(CAPACITY, ProcessMemory.PAGE);
  private final MemorySegment here = arena.allocate(PLACE_BYTES, Long.BYTES);
  private final MemorySegment there = arena.allocate((long) MOST_PLACES * PLACE_BYTES, Long.BYTES);
  private int places;
  private int wanted;

  RemoteReads(long pid) {
    this.pid = pid;
  }

  /**
   * Notes a place to be read with the others.
   *
   * @return how many of its bytes there is room for; with less than all, {@link #read} is due
   */
  int add(long address, long length) {
    if (places == MOST_PLACES) {
      return 0;
    }
    int count = (int) Math.min(length, CAPACITY - wanted);
    if (count > 0) {
      there.set(ValueLayout.JAVA_LONG, (long) places * PLACE_BYTES, address);
      there.set(ValueLayout.JAVA_LONG, (long) places * PLACE_BYTES + Long.BYTES, count);
      places++;
      wanted += count;
    }
    return count;
  }

  /** The bytes of all places that were noted, one after the other; valid until the next call. */
  ByteBuffer read() throws IOException {
    here.set(ValueLayout.JAVA_LONG, 0, buffer.address());
    here.set(ValueLayout.JAVA_LONG, Long.BYTES, wanted);
    long count;
    try {
      count = (long) READ.invokeExact((int) pid, here, 1L, there, (long) places, 0L);
    } catch (Throwable impossible) {
      throw CLibrary.broken(impossible);
    }
    if (count != wanted) {
      throw new IOException(
          "of the memory of process " + pid + " only " + count + " of " + wanted + " bytes came");
    }
    ByteBuffer bytes = buffer.asByteBuffer().limit(wanted);
    places = 0;
    wanted = 0;
    return bytes;
  }

  @Override
  public void close() {
    arena.close();
  }
}
