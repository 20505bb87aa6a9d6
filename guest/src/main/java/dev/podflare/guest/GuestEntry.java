package dev.podflare.guest;

import java.time.Instant;

/**
 * A file, directory or other thing in a guest's file system, as the guest describes it.
 *
 * @param name its name, without the directories that lead to it
 * @param size in bytes
 * @param mode permission bits, 0 to 07777
 * @param modified when its content changed last
 */
public record GuestEntry(String name, Type type, long size, int mode, Instant modified) {

  /** What an entry is. */
  public enum Type {
    FILE,
    DIRECTORY,
    SYMLINK,
    OTHER
  }
}
