package dev.podflare.sandbox;

import dev.podflare.guest.GuestChange;
import dev.podflare.guest.GuestChanges;
import dev.podflare.guest.GuestEntry;
import dev.podflare.guest.GuestNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** An overlay as the kernel keeps it: inodes, times, whiteouts; over a base that never changes. */
final class SimulatedDisk {

  /** A null text is a directory. */
  private record Inode(long number, long birth, long changed, @Nullable String text) {}

  /** The clock, and the last inode's number: both go on for all disks of a family. */
  private static final class Counter {
    private long last = 100;

    long next() {
      return ++last;
    }
  }

  private final Map<String, Inode> base;
  private final TreeMap<String, Inode> upper;
  private final TreeMap<String, Long> whiteouts;
  private final Counter counter;
  private long cut;

  SimulatedDisk(Map<String, String> base) {
    this.base = new HashMap<>();
    this.upper = new TreeMap<>();
    this.whiteouts = new TreeMap<>();
    this.counter = new Counter();
    base.forEach((path, text) -> {
      this.base.put(path, new Inode(0, 0, 0, text));
      for (String above = parent(path); !above.equals("/"); above = parent(above)) {
        this.base.put(above, new Inode(0, 0, 0, null));
      }
    });
  }

  private SimulatedDisk(SimulatedDisk of) {
    this.base = of.base;
    this.upper = new TreeMap<>(of.upper);
    this.whiteouts = new TreeMap<>(of.whiteouts);
    this.counter = of.counter;
    this.cut = of.cut;
  }

  SimulatedDisk copy() {
    return new SimulatedDisk(this);
  }

  SimulatedDisk fork() {
    cut = counter.next();
    return copy();
  }

  long cut() {
    return cut;
  }

  private static String parent(String path) {
    int slash = path.lastIndexOf('/');
    return slash <= 0 ? "/" : path.substring(0, slash);
  }

  private @Nullable Inode at(String path) {
    Inode inode = upper.get(path);
    return inode != null || whiteouts.containsKey(path) ? inode : base.get(path);
  }

  @Nullable String read(String path) {
    Inode inode = at(path);
    return inode == null ? null : inode.text();
  }

  /** In place, with the directories that are needed; over a directory, nothing. */
  void write(String path, String text) {
    Inode old = at(path);
    if ((old != null && old.text() == null) || !makeDirectory(parent(path))) {
      return;
    }
    long now = counter.next();
    Inode own = upper.get(path);
    upper.put(
        path,
        own == null
            ? new Inode(now, now, now, text)
            : new Inode(own.number(), own.birth(), now, text));
    if (old == null) {
      touch(parent(path));
    }
    whiteouts.remove(path);
  }

  private boolean makeDirectory(String path) {
    if (path.equals("/")) {
      return true;
    }
    Inode inode = at(path);
    if ((inode != null && inode.text() != null) || !makeDirectory(parent(path))) {
      return false;
    }
    if (!upper.containsKey(path)) {
      long now = counter.next();
      upper.put(path, new Inode(now, now, now, null));
      if (inode == null) {
        touch(parent(path));
      }
      whiteouts.remove(path);
    }
    return true;
  }

  private void touch(String directory) {
    Inode inode = upper.get(directory);
    if (inode != null) {
      upper.put(directory, new Inode(inode.number(), inode.birth(), counter.next(), inode.text()));
    }
  }

  /** A file or an empty directory. */
  void remove(String path) {
    Inode inode = at(path);
    if (inode == null || (inode.text() == null && !children(path).isEmpty())) {
      return;
    }
    if (base.containsKey(path)) {
      var _ = makeDirectory(parent(path));
      whiteouts.put(path, counter.next());
    }
    upper.remove(path);
    touch(parent(path));
  }

  void removeTree(String path) {
    children(path).forEach(this::removeTree);
    remove(path);
  }

  void rename(String from, String to) {
    Inode inode = upper.get(from);
    remove(from);
    upper.put(to, new Inode(inode.number(), inode.birth(), counter.next(), inode.text()));
    touch(parent(to));
  }

  /** What a merge does: the winner's thing in the place of what is there. */
  void take(String path, SimulatedDisk winner) {
    Inode inode = winner.at(path);
    if (inode.text() == null) {
      var _ = makeDirectory(path);
    } else {
      write(path, inode.text());
    }
  }

  private List<String> children(String directory) {
    var children = new ArrayList<String>();
    var all = new TreeMap<>(base);
    all.putAll(upper);
    for (String path : all.keySet()) {
      if (parent(path).equals(directory) && at(path) != null) {
        children.add(path);
      }
    }
    return children;
  }

  @Nullable Long birth(String path) {
    Inode inode = upper.get(path);
    return inode == null ? null : inode.birth();
  }

  GuestChanges changes() {
    var changes = new ArrayList<GuestChange>();
    upper.forEach((path, inode) ->
        changes.add(
            new GuestChange(
                path, inode.changed(), inode.number(), node(inode), node(base.get(path)))));
    whiteouts.forEach((path, changed) ->
        changes.add(new GuestChange(path, changed, 1, Optional.empty(), node(base.get(path)))));
    return new GuestChanges(changes, "image", false);
  }

  private static Optional<GuestNode> node(@Nullable Inode inode) {
    if (inode == null) {
      return Optional.empty();
    }
    boolean directory = inode.text() == null;
    return Optional.of(
        new GuestNode(
            directory ? GuestEntry.Type.DIRECTORY : GuestEntry.Type.FILE,
            directory ? 0 : inode.text().length(),
            directory ? 0755 : 0644,
            inode.changed(),
            Optional.empty()));
  }
}
