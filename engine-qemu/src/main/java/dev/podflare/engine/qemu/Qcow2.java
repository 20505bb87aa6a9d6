package dev.podflare.engine.qemu;

import dev.podflare.engine.MachineShape;
import dev.podflare.host.Command;
import dev.podflare.host.HostException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Layers of disks with nothing in them, one for each size, to be copied: a copy takes a fraction of
 * a millisecond, and {@code qemu-img} takes twenty.
 *
 * <p>What lies below such a layer is named when it is used, not in it. Safe for use by many
 * threads; losing the directory in a crash loses nothing.
 */
final class Qcow2 {

  private final Path directory;
  private final ReentrantLock making = new ReentrantLock();

  /**
   * @param directory for the layers; made if it is not there
   */
  Qcow2(Path directory) {
    this.directory = directory;
  }

  /** A layer for a disk of this size, which nobody may write to. */
  Path empty(MachineShape shape) throws IOException, HostException {
    Path layer = directory.resolve(shape.diskMiB() + "m.qcow2");
    making.lock();
    try {
      if (!Files.exists(layer)) {
        Files.createDirectories(directory);
        Path aside = directory.resolve("new.qcow2");
        Command.of(
                "qemu-img", "create", "-q", "-f", "qcow2", aside.toString(), shape.diskMiB() + "M")
            .run();
        Files.move(aside, layer, StandardCopyOption.ATOMIC_MOVE);
      }
      return layer;
    } finally {
      making.unlock();
    }
  }
}
