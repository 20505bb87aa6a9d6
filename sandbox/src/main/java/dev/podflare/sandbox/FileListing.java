package dev.podflare.sandbox;

import java.time.Instant;
import java.util.List;

/**
 * What a directory holds, sorted by name.
 *
 * @param truncated whether there is more than is listed here
 */
public record FileListing(List<Entry> entries, boolean truncated) {

  public FileListing {
    entries = List.copyOf(entries);
  }

  /**
   * One entry.
   *
   * @param type {@code file}, {@code directory}, {@code symlink} or {@code other}
   * @param mode permission bits
   */
  public record Entry(String name, String type, long size, int mode, Instant modified) {}
}
