package dev.podflare.engine.qemu;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;

/**
 * All that one microVM has on the host's disk. Only the server can get into it: its machine monitor
 * has no path there, and is handed what it uses as descriptors, or, if it boots, by mounts of
 * single files. So no name in it can be changed by a monitor that was broken into.
 */
record VmDirectory(Path path) {

  private static final Set<PosixFilePermission> OWNER_ONLY =
      PosixFilePermissions.fromString("rwx------");

  void create() throws IOException {
    var ownerOnly = PosixFilePermissions.asFileAttribute(OWNER_ONLY);
    Files.createDirectory(path, ownerOnly);
    Files.createDirectory(jailRoot(), ownerOnly);
    Files.createDirectory(layers().directory(), ownerOnly);
  }

  /** Empty: the jail mounts its root there, in a namespace of its own. */
  Path jailRoot() {
    return path.resolve("root");
  }

  /** The immutable files that the machine stands on. */
  LayerFiles layers() {
    return new LayerFiles(path.resolve("layers"));
  }

  Path journal() {
    return path.resolve("journal.json");
  }

  Path controlSocket() {
    return path.resolve("qmp.sock");
  }

  Path agentSocket() {
    return path.resolve("agent.sock");
  }

  /** Where the monitor is told what files it has, and to fork. */
  Path forkSocket() {
    return path.resolve("fork.sock");
  }

  Path log() {
    return path.resolve("vmm.log");
  }

  /** The memory of a machine that boots. */
  Path bootMemory() {
    return path.resolve("memory");
  }

  /** The disk of a machine that boots. */
  Path bootDisk() {
    return path.resolve("disk");
  }

  /**
   * The uppermost layer of the disk, the only one that is written to.
   *
   * @param number counts how often it became a layer of others, and gave way to a new one
   */
  Path disk(int number) {
    return path.resolve("disk-" + number + ".qcow2");
  }

  /** What the layers of the disk occupy that only this machine has. */
  long diskBytes() throws IOException {
    long bytes = 0;
    try (var files = Files.newDirectoryStream(path, "disk*")) {
      for (Path file : files) {
        bytes += Files.size(file);
      }
    }
    return bytes;
  }

  /** Lets the machine monitor's user, and nobody else, read and write one file, once it has it. */
  static void giveToMonitor(Path file, int user) throws IOException {
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
    Files.setAttribute(file, "unix:uid", user);
  }

  void delete() throws IOException {
    if (!Files.exists(path)) {
      return;
    }
    Files.walkFileTree(
        path,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            Files.deleteIfExists(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(
              Path directory, @org.jspecify.annotations.Nullable IOException failure)
              throws IOException {
            if (failure != null) {
              throw failure;
            }
            Files.deleteIfExists(directory);
            return FileVisitResult.CONTINUE;
          }
        });
  }
}
