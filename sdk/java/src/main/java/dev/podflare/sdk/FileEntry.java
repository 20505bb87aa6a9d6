package dev.podflare.sdk;

import java.time.Instant;

/**
 * One entry of a directory in a sandbox.
 *
 * @param name without the directory
 * @param type {@code file}, {@code directory}, {@code symlink} or {@code other}
 * @param size in bytes
 * @param mode permissions in octal, such as {@code 0644}
 * @param mtime when it was changed
 */
public record FileEntry(String name, String type, long size, String mode, Instant mtime) {
  static FileEntry of(Fields fields) {
    return new FileEntry(
        fields.text("name"),
        fields.text("type"),
        fields.number("size"),
        fields.text("mode"),
        fields.instant("mtime"));
  }

  /** Whether it is a directory. */
  public boolean isDirectory() {
    return type.equals("directory");
  }
}
