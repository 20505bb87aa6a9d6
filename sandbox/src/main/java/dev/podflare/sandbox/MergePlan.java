package dev.podflare.sandbox;

import dev.podflare.guest.GuestChange;
import dev.podflare.guest.GuestEntry;
import dev.podflare.guest.GuestNode;
import dev.podflare.sandbox.Difference.Kind;
import dev.podflare.sandbox.FileComparison.Side;
import dev.podflare.sandbox.MergeReport.Conflict;
import dev.podflare.sandbox.MergeSandboxes.OnConflict;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Which files of a winner go onto its parent. A three-way merge without the third: nobody kept the
 * files as they were at the cut, but each inode tells when it was changed last.
 *
 * <p>What was changed after the cut (its ctime) was changed on that side. What both have untouched
 * is no concern. What only one side has needs care. If the base has it too, the other side holds a
 * whiteout, and that has a time as well. If only the writable layer had it, its removal leaves
 * nothing. Then the other side's copy tells: one that was last changed before the cut was there at
 * the cut, so the side without it has removed it; one that was changed later either is new, or was
 * there and was changed in place, and of that its time of birth speaks ({@link #unborn}).
 *
 * <p>Directories merge: their own times say only that something in them came or went. They are
 * removed once nothing is in them, and made again where something is to go into them.
 *
 * <p>FROM is the parent, TO the winner.
 */
final class MergePlan {

  private static final Side PARENT = Side.FROM;
  private static final Side WINNER = Side.TO;

  private final FileComparison files;
  private final long cut;
  private final Set<String> sameContent;
  private final Map<String, Long> births;
  private final OnConflict onConflict;

  private final SortedMap<String, Kind> changes = new TreeMap<>();
  private final SortedMap<String, Conflict> conflicts = new TreeMap<>();
  private final SortedSet<String> pack = new TreeSet<>();
  private final SortedSet<String> removals = new TreeSet<>();

  private MergePlan(
      FileComparison files,
      long cut,
      Set<String> sameContent,
      Map<String, Long> births,
      OnConflict onConflict) {
    this.files = files;
    this.cut = cut;
    this.sameContent = sameContent;
    this.births = births;
    this.onConflict = onConflict;
  }

  /**
   * Plans a merge.
   *
   * @param files the parent's first, the winner's second
   * @param cut when they parted, in nanoseconds since 1970 by the guests' clock
   * @param sameContent the paths of {@link #undecided} whose content is the same
   * @param births of what is {@link #unborn}; of two for one path, the earlier
   */
  static MergePlan of(
      FileComparison files,
      long cut,
      Set<String> sameContent,
      Map<String, Long> births,
      OnConflict onConflict) {
    var plan = new MergePlan(files, cut, sameContent, births, onConflict);
    for (String path : files.paths()) {
      plan.decide(path);
    }
    plan.settleDirectories();
    return plan;
  }

  /** The paths whose content decides: those where the winner's file may be another one. */
  static List<String> undecided(FileComparison files, long cut) {
    return files.undecided().stream()
        .filter(path -> files.change(WINNER, path).map(GuestChange::changedNanos).orElse(0L) > cut)
        .toList();
  }

  /**
   * The paths whose time of birth on this side decides what they are: those that only it has, and
   * for the words of a report those that both have made or made anew.
   */
  static List<String> unborn(FileComparison files, long cut, Side side) {
    // One that is untouched there: the number of a removed file is given to the next new one.
    var othersInodes = new HashSet<Long>();
    for (String path : files.paths()) {
      files
          .change(side.other(), path)
          .filter(change -> change.now().isPresent() && change.changedNanos() <= cut)
          .ifPresent(change -> othersInodes.add(change.inode()));
    }
    var unborn = new ArrayList<String>();
    for (String path : files.paths()) {
      Optional<GuestChange> change = files.change(side, path);
      if (change.isPresent()
          && isOnlyThere(files, side, path)
          && change.get().changedNanos() > cut
          && !othersInodes.contains(change.get().inode())
          && mayHaveRemovedFrom(files, side.other(), parentOf(path), cut)) {
        unborn.add(path);
      }
    }
    for (String path : files.paths()) {
      if (isMadeAnew(files, path) && changedOnBoth(files, cut, path)) {
        unborn.add(path);
      }
    }
    return unborn;
  }

  /** Whether both have something at a path that was one inode in no past that is known. */
  private static boolean isMadeAnew(FileComparison files, String path) {
    Optional<GuestChange> a = files.change(PARENT, path);
    Optional<GuestChange> b = files.change(WINNER, path);
    return a.isPresent()
        && b.isPresent()
        && a.get().now().isPresent()
        && b.get().now().isPresent()
        && a.get().base().isEmpty()
        && b.get().base().isEmpty()
        && a.get().inode() != b.get().inode();
  }

  private static boolean changedOnBoth(FileComparison files, long cut, String path) {
    return files.change(PARENT, path).orElseThrow().changedNanos() > cut
        && files.change(WINNER, path).orElseThrow().changedNanos() > cut;
  }

  /** Whether a side has something of which neither the other side nor the base knows. */
  private static boolean isOnlyThere(FileComparison files, Side side, String path) {
    Optional<GuestChange> change = files.change(side, path);
    return files.change(side.other(), path).isEmpty()
        && change.isPresent()
        && change.get().now().isPresent()
        && change.get().base().isEmpty();
  }

  /** A removal changes its directory; one that is gone tells nothing. */
  private static boolean mayHaveRemovedFrom(
      FileComparison files, Side side, String directory, long cut) {
    Optional<GuestChange> change = files.change(side, directory);
    return change.isEmpty() || change.get().changedNanos() > cut;
  }

  // ---- one path ----

  private void decide(String path) {
    Optional<GuestNode> parents = files.node(PARENT, path);
    Optional<GuestNode> winners = files.node(WINNER, path);
    if (files.isSame(path, sameContent)
        || !changedSince(WINNER, path)
        || winners.filter(MergePlan::cannotBeMerged).isPresent()
        || parents.filter(MergePlan::cannotBeMerged).isPresent()) {
      return;
    }
    boolean directories =
        parents.map(MergePlan::isDirectory).orElse(true)
            && winners.map(MergePlan::isDirectory).orElse(true);
    if (directories) {
      decideDirectory(path, parents, winners);
    } else if (changedSince(PARENT, path)) {
      conflict(path);
    } else {
      take(path);
    }
  }

  private static boolean cannotBeMerged(GuestNode node) {
    return node.type() == GuestEntry.Type.OTHER;
  }

  private static boolean isDirectory(GuestNode node) {
    return node.type() == GuestEntry.Type.DIRECTORY;
  }

  private void decideDirectory(
      String path, Optional<GuestNode> parents, Optional<GuestNode> winners) {
    if (parents.isPresent() && winners.isPresent()) {
      // Only the mode differs, and the time does not tell whose it is if entries came and went on
      // both sides. Then the base does, and where there is none, the parent keeps its own.
      boolean parentsIsOld = !changedSince(PARENT, path) || isAsInBase(PARENT, path);
      if (parentsIsOld && !isAsInBase(WINNER, path)) {
        take(path);
      }
    } else if (parents.isPresent() || !removedSince(PARENT, path)) {
      take(path);
    }
  }

  private boolean isAsInBase(Side side, String path) {
    Optional<GuestNode> base = files.change(side, path).flatMap(GuestChange::base);
    return base.isPresent()
        && files.node(side, path).map(GuestNode::mode).equals(base.map(GuestNode::mode));
  }

  /** Whether a side made, changed or removed something after the cut. */
  private boolean changedSince(Side side, String path) {
    Optional<GuestChange> change = files.change(side, path);
    return change.isPresent()
        ? change.get().changedNanos() > cut && !isOlder(side, path)
        : removedSince(side, path);
  }

  /**
   * Whether a side's copy of what only it has is not its own doing, though it was changed lately: a
   * directory changes when anything in it comes or goes.
   */
  private boolean isOlder(Side side, String path) {
    return isOnlyThere(files, side, path)
        && files.node(side, path).filter(MergePlan::isDirectory).isPresent()
        && wasThere(path);
  }

  /** Whether a side that has nothing at a path, and no trace of it, had it at the cut. */
  private boolean removedSince(Side side, String path) {
    Optional<GuestChange> others = files.change(side.other(), path);
    if (files.change(side, path).isPresent()
        || others.isEmpty()
        || !isOnlyThere(files, side.other(), path)) {
      return false;
    }
    return others.get().changedNanos() <= cut || wasThere(path);
  }

  private boolean wasThere(String path) {
    Long birth = births.get(path);
    return birth != null && birth <= cut;
  }

  private void conflict(String path) {
    Kind parents = kindOf(PARENT, path);
    Kind winners = kindOf(WINNER, path);
    conflicts.put(path, new Conflict(GuestChange.printable(path), parents, winners));
    if (onConflict == OnConflict.WINNER) {
      take(path);
    }
  }

  /** What a side did to a path that was changed on both. */
  private Kind kindOf(Side side, String path) {
    if (files.node(side, path).isEmpty()) {
      return Kind.REMOVED;
    }
    if (files.node(side.other(), path).isEmpty()) {
      return Kind.MODIFIED; // what was not there, nobody can have removed
    }
    return isMadeAnew(files, path) && !wasThere(path) ? Kind.ADDED : Kind.MODIFIED;
  }

  /** The winner's is to be the parent's. */
  private void take(String path) {
    boolean winnerHas = files.node(WINNER, path).isPresent();
    boolean parentHas = files.node(PARENT, path).isPresent();
    if (winnerHas) {
      pack.add(path);
      changes.put(path, parentHas ? Kind.MODIFIED : Kind.ADDED);
    } else {
      removals.add(path);
      changes.put(path, Kind.REMOVED);
    }
  }

  private void leave(String path) {
    pack.remove(path);
    removals.remove(path);
    changes.remove(path);
  }

  // ---- what paths mean for each other ----

  private void settleDirectories() {
    // Deepest first, so that a directory is looked at when all in it is settled.
    for (String path : new ArrayList<>(removals.reversed())) {
      if (isDirectoryOf(PARENT, path) && hasSomethingLeft(path)) {
        leave(path);
      }
    }
    for (String path : new ArrayList<>(pack)) {
      if (isDirectoryOf(PARENT, path) && !isDirectoryOf(WINNER, path) && hasSomethingLeft(path)) {
        blocked(path);
      }
    }
    for (String path : new ArrayList<>(pack)) {
      if (pack.contains(path)) {
        settleAncestors(path);
      }
    }
  }

  private boolean isDirectoryOf(Side side, String path) {
    return files.node(side, path).filter(MergePlan::isDirectory).isPresent();
  }

  /** Whether the parent will have anything in a directory that is to go. */
  private boolean hasSomethingLeft(String directory) {
    return below(directory).stream()
        .anyMatch(path -> files.node(PARENT, path).isPresent() && !removals.contains(path));
  }

  private SortedSet<String> below(String directory) {
    // "0" is the character after "/".
    return files.paths().subSet(directory + "/", directory + "0");
  }

  /** The winner has made something else of a directory in which the parent has changed things. */
  private void blocked(String path) {
    conflicts.put(
        path, new Conflict(GuestChange.printable(path), Kind.MODIFIED, kindOf(WINNER, path)));
    if (onConflict != OnConflict.WINNER) {
      leave(path);
      return;
    }
    for (String inside : below(path)) {
      if (files.node(PARENT, inside).isPresent()) {
        removals.add(inside);
        changes.put(inside, Kind.REMOVED);
      }
    }
  }

  /** Sees that the directories exist in which something is to be. */
  private void settleAncestors(String path) {
    for (String above = parentOf(path); !above.equals("/"); above = parentOf(above)) {
      if (files.change(PARENT, above).isEmpty() && files.change(WINNER, above).isEmpty()) {
        return; // both have it from the base, and all above it too
      }
      boolean willBe =
          pack.contains(above) ? isDirectoryOf(WINNER, above) : isDirectoryOf(PARENT, above);
      if (removals.contains(above)) {
        leave(above);
      } else if (!willBe && files.node(PARENT, above).isEmpty() && isDirectoryOf(WINNER, above)) {
        take(above);
      } else if (!willBe) {
        // The parent has something else where the winner has a directory, and keeps it.
        conflicts.putIfAbsent(
            above, new Conflict(GuestChange.printable(above), Kind.MODIFIED, Kind.MODIFIED));
        leave(path);
        return;
      }
    }
  }

  private static String parentOf(String path) {
    int slash = path.lastIndexOf('/');
    return slash <= 0 ? "/" : path.substring(0, slash);
  }

  // ---- the plan ----

  /** What is done to the parent's files, by path as it is shown. */
  SortedMap<String, Kind> changes() {
    var shown = new TreeMap<String, Kind>();
    changes.forEach((path, kind) -> shown.put(GuestChange.printable(path), kind));
    return shown;
  }

  /** The paths that were changed on both sides, however that is resolved. */
  List<Conflict> conflicts() {
    return List.copyOf(conflicts.values());
  }

  /** Whether there are conflicts that nobody has said how to resolve. */
  boolean isRefused() {
    return onConflict == OnConflict.FAIL && !conflicts.isEmpty();
  }

  /** What is fetched from the winner. */
  List<String> pack() {
    return List.copyOf(pack);
  }

  /** What is removed from the parent. */
  List<String> removals() {
    return List.copyOf(removals);
  }
}
