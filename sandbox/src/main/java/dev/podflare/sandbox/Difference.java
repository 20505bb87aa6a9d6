package dev.podflare.sandbox;

import java.time.Instant;
import java.util.Collections;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What differs between two sandboxes, seen from the first to the second.
 *
 * @param files by path
 * @param variables by name; empty if they were not asked for
 * @param truncated whether there was more than is told
 */
public record Difference(
    SortedMap<String, FileChange> files,
    Optional<SortedMap<String, VariableChange>> variables,
    boolean truncated) {

  /** What became of a path or a name. */
  public enum Kind {
    ADDED,
    REMOVED,
    MODIFIED
  }

  /** What of a file is another. */
  public enum Aspect {
    TYPE,
    CONTENT,
    MODE,
    TARGET
  }

  /**
   * One path.
   *
   * @param aspects what differs, for {@link Kind#MODIFIED}; else empty
   * @param text the change in unified format, if asked for and the file is small text
   */
  public record FileChange(
      Kind kind,
      Set<Aspect> aspects,
      Optional<FileState> from,
      Optional<FileState> to,
      Optional<String> text) {}

  /**
   * A file in one of the sandboxes.
   *
   * @param type {@code file}, {@code directory}, {@code symlink} or {@code other}
   * @param target of a symbolic link
   */
  public record FileState(
      String type, long size, int mode, Instant modified, Optional<String> target) {}

  /** One Python global. */
  public record VariableChange(Kind kind, Optional<Variable> from, Optional<Variable> to) {}

  /**
   * A Python global in one of the sandboxes.
   *
   * @param type the name of its type
   * @param repr short, and whatever the object said of itself: hostile text
   */
  public record Variable(String type, String repr) {}

  public Difference {
    variables = variables.map(java.util.Collections::unmodifiableSortedMap);
    files = Collections.unmodifiableSortedMap(files);
  }

  /** Nothing differs. */
  public static Difference none() {
    return new Difference(new TreeMap<>(), Optional.empty(), false);
  }
}
