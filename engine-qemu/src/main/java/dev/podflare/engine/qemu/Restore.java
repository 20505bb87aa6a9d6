package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import dev.podflare.host.Descriptor;
import dev.podflare.host.Descriptor.Access;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Makes a child of a blank monitor what a snapshot says: its memory is mapped from layers, its
 * disks are put in place of the empty ones, and the state of processors and devices comes in. It
 * does not run yet.
 *
 * <p>All files are handed over as descriptors, under names that are taken back once they are open.
 */
final class Restore {

  private final QemuMicroVm machine;
  private final SnapshotFiles snapshot;

  Restore(QemuMicroVm machine, SnapshotFiles snapshot) {
    this.machine = machine;
    this.snapshot = snapshot;
  }

  /**
   * @throws EngineException {@link EngineException.Kind#SNAPSHOT_MISMATCH} if QEMU does not take
   *     the state
   */
  void run() throws EngineException {
    LayerFiles layers = machine.directory().layers();
    try {
      MemoryMap map = MemoryMap.read(snapshot.layers().memoryMap());
      snapshot.layers().shareWith(layers, map);
      Files.createLink(layers.memoryMap(), snapshot.layers().memoryMap());
      mapMemory(machine, map);
      putDisks(layers);
      loadState();
    } catch (IOException e) {
      throw HostDisk.failure(
          "microVM " + machine.id() + " can't be made what the snapshot says", e);
    }
  }

  /** Maps a machine's memory from its layers, in place of what is there. It must stand still. */
  static void mapMemory(QemuMicroVm machine, MemoryMap map) throws IOException, EngineException {
    LayerFiles layers = machine.directory().layers();
    Map<Integer, Integer> names = new HashMap<>();
    for (int layer : map.layers()) {
      int name = Offered.memory(names.size());
      offer(machine, name, layers.memory(layer));
      names.put(layer, name);
    }
    machine.control().map(machine.memoryAddress(), map.inOrder(), names);
    for (int name : names.values()) {
      machine.control().withdraw(name);
    }
  }

  private void putDisks(LayerFiles layers) throws IOException, EngineException {
    Path disk = machine.directory().disk(0);
    Files.copy(snapshot.overlay(), disk);
    VmDirectory.giveToMonitor(disk, 0);
    List<Integer> names = new ArrayList<>();
    for (int layer : layers.disks()) {
      int name = Offered.diskLayer(names.size());
      offer(machine, name, layers.disk(layer));
      names.add(name);
    }
    offer(machine, Offered.ROOTFS, layers.rootfs());
    DiskCut.offer(machine.control(), disk, 0);
    var _ =
        machine
            .qmp()
            .executeAll(
                List.of(
                    new Qmp.Call(
                        "blockdev-add",
                        QemuArguments.readOnly(QemuArguments.BASE_NODE, Offered.ROOTFS)),
                    put(QemuArguments.BASE_NODE, QemuArguments.BASE_DEVICE),
                    new Qmp.Call("blockdev-add", QemuArguments.disk(names, 0)),
                    put(QemuArguments.diskName(0), QemuArguments.DISK_DEVICE)));
    names.add(Offered.ROOTFS);
    for (int name : names) {
      machine.control().withdraw(name);
    }
  }

  private static Qmp.Call put(String node, String device) {
    return new Qmp.Call(
        "qom-set",
        Map.of("path", "/machine/peripheral/" + device, "property", "drive", "value", node));
  }

  private void loadState() throws IOException, EngineException {
    try (Descriptor state = Descriptor.open(snapshot.deviceState(), Access.READ)) {
      int number = machine.control().state(state);
      var _ = machine.qmp().execute("migrate-incoming", Map.of("uri", "fd:" + number));
    }
    machine.awaitState();
  }

  private static void offer(QemuMicroVm machine, int name, Path file)
      throws IOException, EngineException {
    try (Descriptor readOnly = Descriptor.open(file, Access.READ)) {
      machine.control().offer(name, readOnly);
    }
  }
}
