package dev.podflare.host;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Where a file has content. Reading a hole would fill the host's page cache with zeros. */
public final class SparseFile {

  /** {@code <unistd.h>}: see lseek(2). */
  private static final int SEEK_DATA = 3;

  private static final int SEEK_HOLE = 4;

  private SparseFile() {}

  /** The parts of a file that are not holes, in ascending order. */
  public static List<Extent> content(Path file) throws IOException {
    try (Descriptor descriptor = Descriptor.open(file, Descriptor.Access.READ)) {
      return content(descriptor.number(), descriptor.size());
    }
  }

  /**
   * As {@link #content(Path)}. Moves the position of the descriptor.
   *
   * @param descriptor the number of one for reading
   * @param size of the file
   */
  static List<Extent> content(int descriptor, long size) throws IOException {
    List<Extent> found = new ArrayList<>();
    long begin = seek(descriptor, 0, SEEK_DATA, size);
    while (begin < size) {
      long end = seek(descriptor, begin, SEEK_HOLE, size);
      if (end <= begin) {
        throw new IOException("this file system does not tell where a file has holes");
      }
      found.add(new Extent(begin, Math.min(end, size) - begin));
      begin = seek(descriptor, end, SEEK_DATA, size);
    }
    return found;
  }

  private static long seek(int descriptor, long from, int whence, long size) throws IOException {
    try {
      return SystemCall.LSEEK.call(descriptor, from, whence);
    } catch (SystemCallException e) {
      if (e.errno() == Errno.ENXIO) {
        return size; // Nothing but a hole from there to the end.
      }
      throw e;
    }
  }

  /** The holes of a file, in ascending order: what lies between its {@link #content}. */
  public static List<Extent> holes(Path file) throws IOException {
    long size = Files.size(file);
    return size == 0 ? List.of() : Extent.without(content(file), List.of(new Extent(0, size)));
  }
}
