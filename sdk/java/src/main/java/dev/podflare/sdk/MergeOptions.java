package dev.podflare.sdk;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * How files are merged.
 *
 * @param dryRun whether it is only told what would be done
 * @param paths the directories to merge, absolute; {@code /root} and {@code /tmp} if it is empty
 * @param onConflict whose file is taken where both sides changed it
 */
public record MergeOptions(boolean dryRun, List<String> paths, OnConflict onConflict) {
  private static final MergeOptions DEFAULTS = new MergeOptions(false, List.of(), OnConflict.FAIL);

  /** Whose file is taken where both sides changed it. */
  public enum OnConflict {
    /** Nobody's, and nothing at all is merged. */
    FAIL,
    /** The winner's. */
    WINNER,
    /** The parent's. */
    PARENT;

    /**
     * The one of this name.
     *
     * @throws InvalidRequestException there is none
     */
    public static OnConflict of(String name) {
      return Words.asked(OnConflict.class, "on_conflict", name);
    }
  }

  public MergeOptions {
    paths = List.copyOf(paths);
  }

  /** Merges {@code /root} and {@code /tmp}, and fails on a conflict. */
  public static MergeOptions defaults() {
    return DEFAULTS;
  }

  /** Only tells, or also does it. */
  public MergeOptions withDryRun(boolean dryRun) {
    return new MergeOptions(dryRun, paths, onConflict);
  }

  /** These directories. */
  public MergeOptions withPaths(String... paths) {
    return new MergeOptions(dryRun, List.of(paths), onConflict);
  }

  /** This side's file in a conflict. */
  public MergeOptions withOnConflict(OnConflict onConflict) {
    return new MergeOptions(dryRun, paths, onConflict);
  }

  Map<String, @Nullable Object> fields() {
    Map<String, @Nullable Object> fields = Call.fields();
    fields.put("mode", "files");
    fields.put("dry_run", dryRun);
    fields.put("paths", paths.isEmpty() ? null : paths);
    fields.put("on_conflict", Words.of(onConflict));
    return fields;
  }
}
