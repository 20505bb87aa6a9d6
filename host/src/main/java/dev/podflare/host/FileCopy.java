package dev.podflare.host;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Set;

/**
 * One copy of a whole file, by descriptors. The kernel copies where it can (copy_file_range(2),
 * which shares blocks where the file system does that); else the bytes pass through this process.
 *
 * @param source the number of a descriptor for reading
 * @param target the number of a descriptor for writing
 */
record FileCopy(int source, int target) {

  private static final long AT_ONCE = 1L << 30;
  private static final long BUFFER = 256 << 10;

  /** Two file systems, or one that can't, or no regular file. */
  private static final Set<Integer> NOT_BY_KERNEL =
      Set.of(Errno.EXDEV, Errno.EINVAL, Errno.EOPNOTSUPP, Errno.ENOSYS);

  /** See {@link Descriptor#copyTo}. */
  long run() throws IOException {
    long size = FileStatus.of(source).size();
    SystemCall.FTRUNCATE.call(target, 0);
    SystemCall.FTRUNCATE.call(target, size);
    for (Extent content : SparseFile.content(source, size)) {
      copy(content.offset(), content.end());
    }
    return size;
  }

  private void copy(long begin, long end) throws IOException {
    try {
      copyByKernel(begin, end);
    } catch (SystemCallException e) {
      if (!NOT_BY_KERNEL.contains(e.errno())) {
        throw e;
      }
      copyByHand(begin, end);
    }
  }

  private void copyByKernel(long begin, long end) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment from = arena.allocateFrom(ValueLayout.JAVA_LONG, begin);
      MemorySegment to = arena.allocateFrom(ValueLayout.JAVA_LONG, begin);
      for (long at = begin; at < end; ) {
        long most = Math.min(AT_ONCE, end - at);
        at +=
            some(
                SystemCall.COPY_FILE_RANGE.call(
                    source, from.address(), target, to.address(), most, 0));
      }
    }
  }

  private void copyByHand(long begin, long end) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(BUFFER);
      for (long at = begin; at < end; ) {
        long most = Math.min(BUFFER, end - at);
        long read = some(SystemCall.PREAD.call(source, buffer.address(), most, at));
        for (long written = 0; written < read; ) {
          written +=
              SystemCall.PWRITE.call(
                  target, buffer.address() + written, read - written, at + written);
        }
        at += read;
      }
    }
  }

  private static long some(long count) throws EOFException {
    if (count == 0) {
      throw new EOFException("the file became shorter while it was copied");
    }
    return count;
  }
}
