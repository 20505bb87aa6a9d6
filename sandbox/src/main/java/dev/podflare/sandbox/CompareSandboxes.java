package dev.podflare.sandbox;

import java.util.List;

/**
 * What of two sandboxes to compare.
 *
 * @param paths absolute paths in the guest under which files are compared, 1 to 64
 * @param text whether to show the changes of small text files line by line
 * @param variables whether to compare the Python globals
 */
public record CompareSandboxes(List<String> paths, boolean text, boolean variables) {

  /** Compared unless somebody names others. */
  public static final List<String> DEFAULT_PATHS = List.of("/root", "/tmp");

  public CompareSandboxes {
    paths = List.copyOf(paths);
  }
}
