package dev.podflare.sandbox;

import dev.podflare.guest.GuestChange;
import dev.podflare.guest.GuestChanges;
import dev.podflare.guest.GuestEntry;
import dev.podflare.guest.GuestNode;
import dev.podflare.sandbox.Difference.Aspect;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;

/**
 * The files of two machines side by side, from what each says of its writable layer.
 *
 * <p>A path that one of them says nothing of is there as in the base. Both have the same base, so
 * what the other says of the base is true here too; only machines of different images have to be
 * asked about such paths themselves ({@link #unseen}).
 *
 * <p>Whether two files have the same content is seen without reading them wherever possible: their
 * sizes differ; or they are one inode of before a fork, which neither machine has touched since
 * (the same number and the same time of change); or nothing of the kind, and digests must decide
 * ({@link #undecided}).
 */
final class FileComparison {

  /** One of the two machines. */
  enum Side {
    FROM,
    TO;

    Side other() {
      return this == FROM ? TO : FROM;
    }
  }

  private final Map<String, GuestChange> from;
  private final Map<String, GuestChange> to;
  private final boolean sameBase;
  private final long untouchedUntil;
  private final SortedSet<String> paths = new TreeSet<>();
  private final Map<String, GuestNode> fromUnseen = new HashMap<>();
  private final Map<String, GuestNode> toUnseen = new HashMap<>();

  /**
   * @param untouchedUntil files that were changed later, by the guest's clock, are not the same
   *     only because their inodes look so: two forks may do the same in the same instant
   */
  FileComparison(GuestChanges from, GuestChanges to, long untouchedUntil) {
    this.from = byPath(from);
    this.to = byPath(to);
    this.sameBase = !from.base().isEmpty() && from.base().equals(to.base());
    this.untouchedUntil = untouchedUntil;
    paths.addAll(this.from.keySet());
    paths.addAll(this.to.keySet());
  }

  private static Map<String, GuestChange> byPath(GuestChanges changes) {
    var byPath = HashMap.<String, GuestChange>newHashMap(changes.changes().size());
    for (GuestChange change : changes.changes()) {
      byPath.put(change.path(), change);
    }
    return byPath;
  }

  /** Every path of which one of the machines says something. */
  SortedSet<String> paths() {
    return paths;
  }

  Optional<GuestChange> change(Side side, String path) {
    return Optional.ofNullable((side == Side.FROM ? from : to).get(path));
  }

  /** The paths about which a machine must be asked, because the other's base is not its own. */
  List<String> unseen(Side side) {
    if (sameBase) {
      return List.of();
    }
    return paths.stream().filter(path -> change(side, path).isEmpty()).toList();
  }

  /** Takes what a machine has answered about what is {@link #unseen}. */
  void see(Side side, Map<String, GuestNode> nodes) {
    (side == Side.FROM ? fromUnseen : toUnseen).putAll(nodes);
  }

  /** What is at a path. */
  Optional<GuestNode> node(Side side, String path) {
    Optional<GuestChange> change = change(side, path);
    if (change.isPresent()) {
      return change.get().now();
    }
    if (sameBase) {
      return change(side.other(), path).flatMap(GuestChange::base);
    }
    return Optional.ofNullable((side == Side.FROM ? fromUnseen : toUnseen).get(path));
  }

  /** The paths where both have a file of the same size, and only its content can tell. */
  List<String> undecided() {
    var undecided = new ArrayList<String>();
    for (String path : paths) {
      if (contentIsOpen(path)) {
        undecided.add(path);
      }
    }
    return undecided;
  }

  private boolean contentIsOpen(String path) {
    Optional<GuestNode> a = node(Side.FROM, path);
    Optional<GuestNode> b = node(Side.TO, path);
    return a.isPresent()
        && b.isPresent()
        && a.get().type() == GuestEntry.Type.FILE
        && b.get().type() == GuestEntry.Type.FILE
        && a.get().size() == b.get().size()
        && a.get().size() > 0
        && !isUntouched(path);
  }

  /** Whether both still have the file that they had in common, as it was. */
  private boolean isUntouched(String path) {
    GuestChange a = from.get(path);
    GuestChange b = to.get(path);
    return a != null
        && b != null
        && a.inode() == b.inode()
        && a.changedNanos() == b.changedNanos()
        && a.changedNanos() <= untouchedUntil
        && a.now().equals(b.now());
  }

  /**
   * What differs at a path where both have something.
   *
   * @param sameContent the paths of those {@link #undecided} whose content is the same
   */
  Set<Aspect> aspects(String path, Set<String> sameContent) {
    GuestNode a = node(Side.FROM, path).orElseThrow();
    GuestNode b = node(Side.TO, path).orElseThrow();
    if (a.type() != b.type()) {
      return EnumSet.of(Aspect.TYPE);
    }
    var aspects = EnumSet.noneOf(Aspect.class);
    if (a.mode() != b.mode() && a.type() != GuestEntry.Type.SYMLINK) {
      aspects.add(Aspect.MODE);
    }
    if (!a.target().equals(b.target())) {
      aspects.add(Aspect.TARGET);
    }
    if (a.type() == GuestEntry.Type.FILE
        && (a.size() != b.size() || (contentIsOpen(path) && !sameContent.contains(path)))) {
      aspects.add(Aspect.CONTENT);
    }
    return aspects;
  }

  /** Whether there is the same at a path, or nothing in both. */
  boolean isSame(String path, Set<String> sameContent) {
    Optional<GuestNode> a = node(Side.FROM, path);
    Optional<GuestNode> b = node(Side.TO, path);
    if (a.isEmpty() || b.isEmpty()) {
      return a.isEmpty() && b.isEmpty();
    }
    return aspects(path, sameContent).isEmpty();
  }
}
