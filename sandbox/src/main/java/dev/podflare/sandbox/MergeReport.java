package dev.podflare.sandbox;

import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What a merge did, or would do.
 *
 * @param applied false after a dry run, and if conflicts kept it from being applied
 * @param changes what was done to the parent's files, by path
 * @param conflicts paths that were changed on both sides
 */
public record MergeReport(
    boolean applied, SortedMap<String, Difference.Kind> changes, List<Conflict> conflicts) {

  /** One path, with what each side did to it. */
  public record Conflict(String path, Difference.Kind parent, Difference.Kind winner) {}

  public MergeReport {
    changes = java.util.Collections.unmodifiableSortedMap(changes);
    conflicts = List.copyOf(conflicts);
  }

  /** Of a merge that touches no files by themselves. */
  public static MergeReport whole(boolean applied) {
    return new MergeReport(applied, new TreeMap<>(), List.of());
  }
}
