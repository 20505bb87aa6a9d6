package dev.podflare.sandbox;

import java.util.List;

/**
 * How to merge one sandbox into another.
 *
 * @param paths for {@link Mode#FILES}: absolute paths in the guest under which files are merged
 * @param dryRun says what would be done, and does nothing
 * @param onConflict for {@link Mode#FILES}: what to do with a file that was changed on both sides
 */
public record MergeSandboxes(Mode mode, List<String> paths, boolean dryRun, OnConflict onConflict) {

  /** What is merged. */
  public enum Mode {
    /** The whole machine: the parent's id drives the winner's machine from now on. */
    SWAP,
    /** The files that the winner changed since the fork, onto the parent's live machine. */
    FILES
  }

  /** What to do with a file that was changed on both sides. */
  public enum OnConflict {
    /** List it, and apply nothing at all. */
    FAIL,
    /** The winner's file. */
    WINNER,
    /** The parent's file. */
    PARENT
  }

  public MergeSandboxes {
    paths = List.copyOf(paths);
  }
}
