package dev.podflare.host;

import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * The kernel's limits for one machine monitor: memory and number of threads.
 *
 * <p>Under version 2 of control groups this is one directory; under version 1 one in each
 * controller. Where a controller is missing or not ours to use, the limit is not set and {@link
 * #missing()} says so.
 */
public final class ControlGroup implements AutoCloseable {

  private static final System.Logger LOG = System.getLogger(ControlGroup.class.getName());
  private static final Path ROOT = Path.of("/sys/fs/cgroup");
  private static final String PARENT = "podflare";

  /** Memory of no file, in the statistics of the memory controller. */
  private static final String MEMORY_OF_VERSION_2 = "anon ";

  private static final String MEMORY_OF_VERSION_1 = "total_rss ";

  private final boolean version2;
  private final List<Path> directories;
  private final List<String> missing;

  private ControlGroup(boolean version2, List<Path> directories, List<String> missing) {
    this.version2 = version2;
    this.directories = List.copyOf(directories);
    this.missing = new CopyOnWriteArrayList<>(missing);
  }

  /**
   * Makes a group without limits, for a machine whose size is not known yet.
   *
   * @param name becomes a directory's name, so the caller has checked it
   */
  public static ControlGroup create(String name) throws HostException {
    List<Path> made = new ArrayList<>();
    List<String> missing = new ArrayList<>();
    boolean version2 = isVersion2();
    // Else the parent could go, with the last group of another server, before this one is in it.
    try (var _ = HostLock.acquire()) {
      if (version2) {
        makeVersion2(name, made, missing);
      } else {
        makeVersion1("memory", name, made, missing);
        makeVersion1("pids", name, made, missing);
      }
    }
    return new ControlGroup(version2, made, missing);
  }

  /**
   * Makes a group with limits.
   *
   * @param name becomes a directory's name, so the caller has checked it
   * @param memoryBytes how much memory its processes may use together
   * @param tasks how many threads and processes it may hold
   */
  public static ControlGroup create(String name, long memoryBytes, int tasks) throws HostException {
    ControlGroup group = create(name);
    group.limit(memoryBytes, tasks);
    return group;
  }

  /**
   * Sets the limits, or sets them anew. What this host can't limit is added to {@link #missing()}.
   *
   * @param memoryBytes how much memory its processes may use together
   * @param tasks how many threads and processes it may hold
   */
  public void limit(long memoryBytes, int tasks) {
    for (Path directory : directories) {
      if (version2 || directory.startsWith(ROOT.resolve("memory"))) {
        set(
            "memory",
            directory.resolve(version2 ? "memory.max" : "memory.limit_in_bytes"),
            memoryBytes);
      }
      if (version2 || directory.startsWith(ROOT.resolve("pids"))) {
        set("pids", directory.resolve("pids.max"), tasks);
      }
    }
  }

  private void set(String controller, Path file, long value) {
    try {
      Files.writeString(file, Long.toString(value), StandardOpenOption.WRITE);
    } catch (IOException e) {
      missing.add(reason(controller, version2, e));
    }
  }

  /**
   * Moves a process into the group, with all its threads. What it has used before stays where it
   * was counted.
   *
   * @throws HostException if it has ended, or the group is full or gone
   */
  public void add(long pid) throws HostException {
    for (Path procs : procsFiles()) {
      try {
        Files.writeString(procs, Long.toString(pid), StandardOpenOption.WRITE);
      } catch (IOException e) {
        throw new HostException(
            "process " + pid + " can't be moved into the control group " + procs.getParent(), e);
      }
    }
  }

  /**
   * Makes the next {@link #add} quick. The kernel lets no process begin or end while one is moved;
   * to take that lock costs it a grace period, 10 ms and more, if nobody has done so for a while.
   * This takes and releases it, by moving this process to where it is, and may be called while
   * other things are prepared.
   */
  public static void expectMoves() {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/cgroup"))) {
        String[] fields = line.split(":", 3);
        boolean version2 = fields[1].isEmpty();
        if (version2 || fields[1].equals("memory")) {
          Path procs =
              ROOT.resolve(version2 ? "" : fields[1])
                  .resolve(fields[2].substring(1))
                  .resolve("cgroup.procs");
          Files.writeString(procs, Long.toString(ProcessHandle.current().pid()));
          return;
        }
      }
    } catch (IOException e) {
      LOG.log(System.Logger.Level.DEBUG, "processes are moved to their groups unprepared", e);
    }
  }

  /**
   * The memory in bytes that processes of the group hold now and that is of no file, pages that
   * they share with processes outside only if it was they who were the first to touch them.
   *
   * @return empty if this host does not count it
   * @throws HostException if the group is gone
   */
  public OptionalLong memoryBytes() throws HostException {
    String field = version2 ? MEMORY_OF_VERSION_2 : MEMORY_OF_VERSION_1;
    for (Path directory : directories) {
      Path file = directory.resolve("memory.stat");
      if ((version2 && Files.exists(file)) || directory.startsWith(ROOT.resolve("memory"))) {
        try {
          for (String line : Files.readAllLines(file)) {
            if (line.startsWith(field)) {
              return OptionalLong.of(Long.parseLong(line.substring(field.length())));
            }
          }
        } catch (IOException e) {
          throw new HostException(
              "the memory of the control group " + directory + " can't be read", e);
        }
      }
    }
    return OptionalLong.empty();
  }

  private static boolean isVersion2() {
    return Files.exists(ROOT.resolve("cgroup.controllers"));
  }

  private static String reason(String controller, boolean version2, IOException e) {
    return controller
        + " limit (control groups v"
        + (version2 ? 2 : 1)
        + ": "
        + e.getMessage()
        + ")";
  }

  /** Which limits this host can't set, one clause each; empty is best. */
  public static List<String> unavailable() {
    List<String> unavailable = new ArrayList<>();
    boolean version2 = isVersion2();
    for (String controller : List.of("memory", "pids")) {
      Path place = version2 ? ROOT : ROOT.resolve(controller);
      if (!Files.isWritable(place) || (version2 && !offers(controller))) {
        unavailable.add(controller + " limit (control groups " + (version2 ? "v2" : "v1") + ")");
      }
    }
    return unavailable;
  }

  private static boolean offers(String controller) {
    try {
      String all = Files.readString(ROOT.resolve("cgroup.controllers"));
      return List.of(all.strip().split(" ")).contains(controller);
    } catch (IOException e) {
      return false;
    }
  }

  /** The group of this name which an earlier process made. */
  public static ControlGroup existing(String name) {
    List<Path> found = new ArrayList<>();
    for (String controller : List.of("", "memory", "pids")) {
      Path directory = ROOT.resolve(controller).resolve(PARENT).resolve(name);
      if (Files.isDirectory(directory)) {
        found.add(directory);
      }
    }
    return new ControlGroup(isVersion2(), found, List.of());
  }

  private static void makeVersion2(String name, List<Path> made, List<String> missing) {
    Path parent = ROOT.resolve(PARENT);
    Path directory = parent.resolve(name);
    try {
      Files.createDirectories(parent);
      Files.writeString(ROOT.resolve("cgroup.subtree_control"), "+memory +pids");
      Files.writeString(parent.resolve("cgroup.subtree_control"), "+memory +pids");
      Files.createDirectory(directory);
      made.add(directory);
    } catch (IOException e) {
      missing.add(reason("memory", true, e));
      missing.add(reason("pids", true, e));
    }
  }

  private static void makeVersion1(
      String controller, String name, List<Path> made, List<String> missing) {
    Path directory = ROOT.resolve(controller).resolve(PARENT).resolve(name);
    try {
      if (!Files.isDirectory(ROOT.resolve(controller))) {
        missing.add(controller + " limit (control groups v1 has no such controller here)");
        return;
      }
      Files.createDirectories(directory);
      made.add(directory);
    } catch (IOException e) {
      missing.add(reason(controller, false, e));
    }
  }

  /** The files into which a process writes itself to be limited. */
  public List<Path> procsFiles() {
    return directories.stream().map(directory -> directory.resolve("cgroup.procs")).toList();
  }

  /** What could not be limited, one clause each; empty is best. */
  public List<String> missing() {
    return List.copyOf(missing);
  }

  /** Removes the group. Its processes must have ended, or the kernel keeps it. */
  @Override
  public void close() throws HostException {
    try (var _ = HostLock.acquire()) {
      for (Path directory : directories) {
        try {
          Files.deleteIfExists(directory);
          removeIfEmpty(directory.resolveSibling(""));
        } catch (IOException e) {
          throw new HostException("the control group " + directory + " can't be removed", e);
        }
      }
    }
  }

  /** The last server on the host leaves no trace. */
  private static void removeIfEmpty(Path parent) throws IOException {
    try (var children = Files.newDirectoryStream(parent, Files::isDirectory)) {
      if (children.iterator().hasNext()) {
        return;
      }
    } catch (NoSuchFileException removedMeanwhile) {
      return;
    }
    try {
      Files.deleteIfExists(parent);
    } catch (FileSystemException busy) {
      LOG.log(System.Logger.Level.TRACE, "{0} stays: {1}", parent, busy.getMessage());
    }
  }
}
