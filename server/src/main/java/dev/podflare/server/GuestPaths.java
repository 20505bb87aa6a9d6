package dev.podflare.server;

import dev.podflare.sandbox.CompareSandboxes;
import java.util.Arrays;
import java.util.List;

/** The rules of a list of paths in a sandbox, under which files are compared or merged. */
final class GuestPaths {

  private static final int MOST = 64;
  private static final int MAX_CHARS = 4096;

  private GuestPaths() {}

  /**
   * The paths that a request names, or else those that are compared by default.
   *
   * @param field where they stand
   * @throws ApiError 422 if one is not absolute, or leads through {@code ..}
   */
  static List<String> of(String field, List<String> given) {
    if (given.isEmpty()) {
      return CompareSandboxes.DEFAULT_PATHS;
    }
    if (given.size() > MOST) {
      throw ApiError.badValue(
          field, "There are more than " + MOST + " in " + field + ".", "Name their parents.");
    }
    given.forEach(path -> requireUsable(field, path));
    return given;
  }

  private static void requireUsable(String field, String path) {
    if (!path.startsWith("/")
        || path.length() > MAX_CHARS
        || path.indexOf('\0') >= 0
        || Arrays.asList(path.split("/")).contains("..")) {
      throw ApiError.badValue(
          field,
          "A path in " + field + " can't be used.",
          "Send absolute paths such as /root, of at most "
              + MAX_CHARS
              + " characters, without .. and NUL.");
    }
  }
}
