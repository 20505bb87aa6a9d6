package dev.podflare.server;

import dev.podflare.sandbox.CompareSandboxes;
import java.util.Arrays;
import java.util.List;

/** The rules of a list of paths in a sandbox, under which files are compared or merged. */
final class GuestPaths {

  /**
   * Of every guest; its agent reads a path by itself, but is asked here for paths from the root.
   */
  private static final String HOME = "/root";

  private static final int MOST = 64;
  private static final int MAX_CHARS = 4096;

  private GuestPaths() {}

  /**
   * The paths that a request names, or else those that are compared by default.
   *
   * @param field where they stand
   * @return absolute ones
   * @throws ApiError 422 if one is neither absolute nor from {@code ~}, or leads through {@code ..}
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
    return given.stream().map(GuestPaths::fromRoot).toList();
  }

  private static String fromRoot(String path) {
    return isFromHome(path) ? HOME + path.substring(1) : path;
  }

  private static boolean isFromHome(String path) {
    return path.equals("~") || path.startsWith("~/");
  }

  private static void requireUsable(String field, String path) {
    if (!(path.startsWith("/") || isFromHome(path))
        || path.length() > MAX_CHARS
        || path.indexOf('\0') >= 0
        || Arrays.asList(path.split("/")).contains("..")) {
      throw ApiError.badValue(
          field,
          "A path in " + field + " can't be used.",
          "Send absolute paths such as /root, or ~ for it, of at most "
              + MAX_CHARS
              + " characters, without .. and NUL.");
    }
  }
}
