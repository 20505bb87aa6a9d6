package dev.podflare.engine.qemu;

import dev.podflare.engine.MicroVmId;
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
 * All that one microVM has on the host's disk. Only {@link #work()} is writable for its machine
 * monitor; the rest, the journal above all, is the server's.
 */
record VmDirectory(Path path) {

  private static final Set<PosixFilePermission> OWNER_ONLY =
      PosixFilePermissions.fromString("rwx------");

  /** Where the jail shows {@link #work()}. */
  static final String WORK_IN_JAIL = "/work";

  /** Where the jail shows {@link #layers()}. */
  static final String LAYERS_IN_JAIL = "/layers";

  static VmDirectory create(Path parent, MicroVmId id) throws IOException {
    VmDirectory directory = new VmDirectory(parent.resolve(id.value()));
    var ownerOnly = PosixFilePermissions.asFileAttribute(OWNER_ONLY);
    Files.createDirectory(directory.path, ownerOnly);
    Files.createDirectory(directory.work(), ownerOnly);
    Files.createDirectory(directory.jailRoot(), ownerOnly);
    // The monitor's user reads in it; nobody else gets as far.
    Files.createDirectory(directory.layers().directory());
    Files.setPosixFilePermissions(
        directory.layers().directory(), PosixFilePermissions.fromString("rwxr-xr-x"));
    return directory;
  }

  Path work() {
    return path.resolve("work");
  }

  /** Empty: the jail mounts its root there, in a namespace of its own. */
  Path jailRoot() {
    return path.resolve("root");
  }

  /**
   * The immutable files that the machine stands on. The monitor sees them as {@link
   * #LAYERS_IN_JAIL}.
   */
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

  /** Where the monitor is told which layers its memory is made of. */
  Path memorySocket() {
    return path.resolve("mem.sock");
  }

  Path log() {
    return path.resolve("vmm.log");
  }

  /** Device state comes in through here when a clone starts. */
  Path incomingSocket() {
    return work().resolve("incoming.sock");
  }

  Path memory() {
    return work().resolve("memory");
  }

  Path deviceState() {
    return work().resolve("state");
  }

  /** What is to become a layer of memory, while the monitor writes it. */
  Path newLayer() {
    return work().resolve("layer");
  }

  Path bootDisk() {
    return work().resolve("disk");
  }

  /**
   * The uppermost layer of a clone's disk, the only one that is written to.
   *
   * @param number counts how often it became a layer of others, and gave way to a new one
   */
  Path cloneDisk(int number) {
    return work().resolve("disk-" + number + ".qcow2");
  }

  /** What the layers of the disk occupy that only this machine has. */
  long diskBytes() throws IOException {
    long bytes = 0;
    try (var files = Files.newDirectoryStream(work(), "disk*")) {
      for (Path file : files) {
        bytes += Files.size(file);
      }
    }
    return bytes;
  }

  /** Lets the machine monitor's user, and nobody else, read and write in {@link #work()}. */
  void giveWorkTo(int user) throws IOException {
    try (var files = Files.newDirectoryStream(work())) {
      for (Path file : files) {
        giveToMonitor(file, user);
      }
    }
    Files.setAttribute(work(), "unix:uid", user);
  }

  /** Lets the machine monitor's user, and nobody else, read and write one file. */
  void giveToMonitor(Path file, int user) throws IOException {
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
