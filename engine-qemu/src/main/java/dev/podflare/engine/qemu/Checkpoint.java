package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import dev.podflare.host.Descriptor;
import dev.podflare.host.Descriptor.Access;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;

/**
 * Takes a machine's memory, disk and devices as of one instant, for a snapshot that is kept. The
 * machine stands still from then on.
 *
 * <p>The snapshot has links to the layers that the machine stands on, and a new one with the pages
 * that are the process's own: its own writes, and those of its ancestors since the layers were
 * mapped, which relatives share.
 */
final class Checkpoint {

  private final QemuMicroVm machine;
  private final SnapshotFiles into;

  Checkpoint(QemuMicroVm machine, SnapshotFiles into) {
    this.machine = machine;
    this.into = into;
  }

  /** Lets a large file that is written to become a layer. */
  interface DiskStep {
    void cut(DiskCut disk) throws IOException, EngineException;
  }

  /**
   * @param empty a layer for the disk with nothing in it
   */
  void run(Path empty, DiskStep diskStep) throws IOException, EngineException {
    VmDirectory directory = machine.directory();
    LayerFiles layers = directory.layers();
    MemoryMap below = MemoryMap.read(layers.memoryMap());
    if (Cut.isDeep(below)) {
      below = Cut.flatten(below, layers);
      layers.write(below);
      layers.forgetAllBut(below);
    }
    layers.shareWith(into.layers(), below);
    try (DiskCut disk =
        DiskCut.prepare(directory, machine.qmp(), machine.control(), machine.diskNumber(), empty)) {
      machine.pause();
      saveState(machine, into.deviceState());
      Cut.Layer cut =
          new Cut(machine.processMemory(), below).into(into.layers(), below.nextLayer());
      diskStep.cut(disk);
      disk.copyTo(into.overlay(), into.layers());
      into.layers().write(cut.map());
    }
    LayerFiles.seal(into.overlay());
    LayerFiles.seal(into.layers().memoryMap());
  }

  /**
   * Writes the state of processors and devices of a paused machine, without its memory, to a file
   * that QEMU is handed.
   */
  static void saveState(QemuMicroVm machine, Path file) throws IOException, EngineException {
    try (Descriptor created = Descriptor.open(file, Access.CREATE);
        Descriptor readOnly = Descriptor.open(file, Access.READ)) {
      machine.control().offer(Offered.STATE, readOnly, created);
    }
    try {
      var _ =
          machine
              .qmp()
              .execute(
                  "xen-save-devices-state",
                  Map.of("filename", MonitorControl.path(Offered.STATE), "live", false));
    } finally {
      machine.control().withdraw(Offered.STATE);
    }
    LayerFiles.seal(file);
  }
}
