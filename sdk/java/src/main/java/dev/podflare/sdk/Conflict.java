package dev.podflare.sdk;

/**
 * A file that both sides of a merge have changed.
 *
 * @param path where it is
 * @param parent what the parent did to it: {@code added}, {@code modified} or {@code removed}
 * @param winner what the winner did to it
 */
public record Conflict(String path, String parent, String winner) {
  static Conflict of(Fields fields) {
    return new Conflict(fields.text("path"), fields.text("parent"), fields.text("winner"));
  }
}
