package dev.podflare.engine.qemu;

import dev.podflare.engine.MachineShape;
import dev.podflare.host.HostException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The lowest disks of what was started last, for each shape of machine.
 *
 * <p>Most machines stand on the same two files, the read-only disk and the first layer of the
 * writable one, and write to one small file over them. So those that wait have all three open
 * already, the last one empty, and need not be told of them when somebody waits for them: QEMU
 * reads what it is told byte by byte, for some microseconds each. A machine that shall stand on
 * others is told so then.
 *
 * <p>Safe for use by many threads. Links in a directory of its own keep the files; losing them in a
 * crash loses nothing.
 */
final class Foundations {

  private final Path directory;
  private final ReentrantLock lock = new ReentrantLock();

  /**
   * @param directory for links; on the file system of the snapshots
   */
  Foundations(Path directory) {
    this.directory = directory;
  }

  private LayerFiles of(MachineShape shape) {
    return new LayerFiles(directory.resolve(shape.label()));
  }

  private Path emptyOverlay(MachineShape shape) {
    return directory.resolve(shape.label()).resolve("empty.qcow2");
  }

  /** Notes what a machine of this shape stands on. */
  void learn(MachineShape shape, LayerFiles layers) throws IOException, HostException {
    lock.lock();
    try {
      LayerFiles known = of(shape);
      if (!known.hasFoundationOf(layers)) {
        Files.createDirectories(known.directory());
        if (!Files.exists(emptyOverlay(shape))) {
          Path aside = known.directory().resolve("empty.qcow2.new");
          QemuEngine.emptyOverlay(aside, shape);
          Files.move(aside, emptyOverlay(shape), StandardCopyOption.ATOMIC_MOVE);
        }
        known.forgetFoundation();
        known.takeFoundation(layers);
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * Gives a machine that is to wait links to what it will stand on most likely, and a file to write
   * to.
   *
   * @return whether that is known
   */
  boolean layFor(MachineShape shape, VmDirectory machine) throws IOException {
    lock.lock();
    try {
      LayerFiles known = of(shape);
      boolean complete =
          Files.exists(known.rootfs())
              && Files.exists(known.disk(0))
              && Files.exists(emptyOverlay(shape));
      if (complete) {
        machine.layers().takeFoundation(known);
        Files.copy(emptyOverlay(shape), machine.cloneDisk(0));
      }
      return complete;
    } finally {
      lock.unlock();
    }
  }
}
