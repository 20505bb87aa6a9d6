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
    List<Extent> found = new ArrayList<>();
    long size = Files.size(file);
    try (SystemCalls calls = SystemCalls.on(file)) {
      long begin = calls.seek(0, SEEK_DATA);
      // Beyond the last content there is none to seek: ENXIO.
      while (begin >= 0 && begin < size) {
        long end = calls.seek(begin, SEEK_HOLE);
        if (end <= begin) {
          throw new IOException("this file system does not tell where a file has holes");
        }
        found.add(new Extent(begin, Math.min(end, size) - begin));
        begin = calls.seek(end, SEEK_DATA);
      }
    }
    return found;
  }

  /** The holes of a file, in ascending order: what lies between its {@link #content}. */
  public static List<Extent> holes(Path file) throws IOException {
    long size = Files.size(file);
    return size == 0 ? List.of() : Extent.without(content(file), List.of(new Extent(0, size)));
  }
}
