package dev.podflare.sdk;

import java.util.List;

/** Files were changed on both sides of a merge, so nothing was merged (409). */
public final class MergeConflictException extends ConflictException {
  private static final long serialVersionUID = 1L;

  private final transient List<Conflict> conflicts;

  MergeConflictException(Failure failure, List<Conflict> conflicts) {
    super(failure);
    this.conflicts = List.copyOf(conflicts);
  }

  /** What each side did to which file. */
  public List<Conflict> conflicts() {
    return conflicts;
  }
}
