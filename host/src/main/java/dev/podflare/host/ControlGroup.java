package dev.podflare.host;

import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

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

  private final List<Path> directories;
  private final List<String> missing;

  private ControlGroup(List<Path> directories, List<String> missing) {
    this.directories = List.copyOf(directories);
    this.missing = List.copyOf(missing);
  }

  /**
   * Makes a group.
   *
   * @param name becomes a directory's name, so the caller has checked it
   * @param memoryBytes how much memory its processes may use together
   * @param tasks how many threads and processes it may hold
   */
  public static ControlGroup create(String name, long memoryBytes, int tasks) throws HostException {
    List<Path> made = new ArrayList<>();
    List<String> missing = new ArrayList<>();
    // Else the parent could go, with the last group of another server, before this one is in it.
    try (var _ = HostLock.acquire()) {
      if (Files.exists(ROOT.resolve("cgroup.controllers"))) {
        limitVersion2(name, memoryBytes, tasks, made, missing);
      } else {
        limitVersion1("memory", "memory.limit_in_bytes", memoryBytes, name, made)
            .ifPresent(missing::add);
        limitVersion1("pids", "pids.max", tasks, name, made).ifPresent(missing::add);
      }
    }
    return new ControlGroup(made, missing);
  }

  /** Which limits this host can't set, one clause each; empty is best. */
  public static List<String> unavailable() {
    List<String> unavailable = new ArrayList<>();
    boolean version2 = Files.exists(ROOT.resolve("cgroup.controllers"));
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
    return new ControlGroup(found, List.of());
  }

  private static void limitVersion2(
      String name, long memoryBytes, int tasks, List<Path> made, List<String> missing) {
    Path parent = ROOT.resolve(PARENT);
    Path directory = parent.resolve(name);
    try {
      Files.createDirectories(parent);
      Files.writeString(ROOT.resolve("cgroup.subtree_control"), "+memory +pids");
      Files.writeString(parent.resolve("cgroup.subtree_control"), "+memory +pids");
      Files.createDirectory(directory);
      made.add(directory);
      Files.writeString(directory.resolve("memory.max"), Long.toString(memoryBytes));
      Files.writeString(directory.resolve("pids.max"), Integer.toString(tasks));
    } catch (IOException e) {
      missing.add("memory and task limits (control groups v2: " + e.getMessage() + ")");
    }
  }

  private static Optional<String> limitVersion1(
      String controller, String file, long value, String name, List<Path> made) {
    Path directory = ROOT.resolve(controller).resolve(PARENT).resolve(name);
    try {
      if (!Files.isDirectory(ROOT.resolve(controller))) {
        return Optional.of(controller + " limit (control groups v1 has no such controller here)");
      }
      Files.createDirectories(directory);
      made.add(directory);
      Files.writeString(directory.resolve(file), Long.toString(value));
      return Optional.empty();
    } catch (IOException e) {
      return Optional.of(controller + " limit (control groups v1: " + e.getMessage() + ")");
    }
  }

  /** The files into which a process writes itself to be limited. */
  public List<Path> procsFiles() {
    return directories.stream().map(directory -> directory.resolve("cgroup.procs")).toList();
  }

  /** What could not be limited, one clause each; empty is best. */
  public List<String> missing() {
    return missing;
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
