package dev.podflare.host;

import java.util.ArrayList;
import java.util.List;

/**
 * A range of bytes.
 *
 * @param offset of its first byte, 0 or more
 * @param length in bytes, 1 or more
 */
public record Extent(long offset, long length) {

  public Extent {
    if (offset < 0 || length < 1) {
      throw new IllegalArgumentException("no extent: " + length + " bytes at " + offset);
    }
  }

  /** The offset after its last byte. */
  public long end() {
    return offset + length;
  }

  /** The bytes of all of them together. */
  public static long bytes(List<Extent> extents) {
    return extents.stream().mapToLong(Extent::length).sum();
  }

  /** The first so many bytes of them, or all if they have no more. */
  public static List<Extent> first(long bytes, List<Extent> extents) {
    List<Extent> first = new ArrayList<>();
    long left = bytes;
    for (Extent extent : extents) {
      if (left <= 0) {
        break;
      }
      first.add(new Extent(extent.offset, Math.min(left, extent.length)));
      left -= extent.length;
    }
    return first;
  }

  /** What comes behind the {@link #first} so many bytes. */
  public static List<Extent> after(long bytes, List<Extent> extents) {
    List<Extent> rest = new ArrayList<>();
    long left = bytes;
    for (Extent extent : extents) {
      long skipped = Math.max(0, Math.min(left, extent.length));
      if (skipped < extent.length) {
        rest.add(new Extent(extent.offset + skipped, extent.length - skipped));
      }
      left -= extent.length;
    }
    return rest;
  }

  /**
   * What is left of extents when others are taken away.
   *
   * @param away parts of them, in ascending order, without overlap
   * @param extents in ascending order, without overlap
   */
  public static List<Extent> without(List<Extent> away, List<Extent> extents) {
    List<Extent> rest = new ArrayList<>();
    int next = 0;
    for (Extent extent : extents) {
      long at = extent.offset;
      while (next < away.size() && away.get(next).offset < extent.end()) {
        Extent gone = away.get(next++);
        if (gone.offset > at) {
          rest.add(new Extent(at, gone.offset - at));
        }
        at = gone.end();
      }
      if (at < extent.end()) {
        rest.add(new Extent(at, extent.end() - at));
      }
    }
    return rest;
  }
}
