package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import dev.podflare.engine.MachineShape;
import dev.podflare.host.HostException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;

/**
 * Takes a clone's disk at the same paused instant as its memory.
 *
 * <p>A clone writes to one qcow2 file over layers that it shares. While that file is small, a copy
 * of it is the quickest, and nothing changes for the clone. Once it is large, it becomes a layer
 * itself: the clone goes on in a new, empty file over it, and so does every copy. So the pause does
 * not grow with what is on the disk, and the number of layers grows by one for each {@link
 * #LARGE_BYTES} written at most, not with each fork.
 *
 * <p>Used once, by one thread. {@link #close} undoes what was prepared if it was not needed.
 */
final class DiskCut implements AutoCloseable {

  /** A copy of as much takes a few milliseconds. */
  private static final long LARGE_BYTES = 16L << 20;

  private static final Pattern OVERLAY = Pattern.compile("overlay-([0-9]{1,6})");

  private final VmDirectory directory;
  private final Qmp qmp;

  /** Of the file that is written to, in {@link VmDirectory#cloneDisk}. */
  private final int number;

  /** Whether that file becomes a layer. */
  private final boolean grows;

  private boolean grown;

  private DiskCut(VmDirectory directory, Qmp qmp, int number, boolean grows) {
    this.directory = directory;
    this.qmp = qmp;
    this.number = number;
    this.grows = grows;
  }

  /** Does what takes long before the pause. */
  static DiskCut prepare(VmDirectory directory, Qmp qmp, int user, MachineShape shape)
      throws IOException, EngineException {
    int number = written(qmp);
    boolean grows = Files.size(directory.cloneDisk(number)) > LARGE_BYTES;
    if (grows) {
      Path next = directory.cloneDisk(number + 1);
      try {
        Files.deleteIfExists(next);
        QemuEngine.emptyOverlay(next, shape);
      } catch (HostException e) {
        throw new EngineException(
            EngineException.Kind.FAILED, "a layer for a disk can't be made: " + e.getMessage(), e);
      }
      directory.giveToMonitor(next, user);
      var _ = qmp.execute("blockdev-add", QemuArguments.overlay(number + 1, null));
    }
    return new DiskCut(directory, qmp, number, grows);
  }

  /**
   * Puts the disk as it is into a snapshot. The machine is paused, so its caches are written out.
   */
  void take(SnapshotFiles into) throws IOException, EngineException {
    if (!grows) {
      Files.copy(directory.cloneDisk(number), into.overlay());
      return;
    }
    Path empty = directory.cloneDisk(number + 1);
    Files.copy(empty, into.overlay());
    int layer = directory.layers().disks().last() + 1;
    Path full = directory.cloneDisk(number);
    // First the name, then the deed: recover() takes the name back if the deed was not done.
    Files.createLink(directory.layers().disk(layer), full);
    var _ =
        qmp.execute(
            "blockdev-snapshot",
            Map.of(
                "node",
                QemuArguments.diskName(number),
                "overlay",
                QemuArguments.diskName(number + 1)));
    grown = true;
    LayerFiles.seal(full);
    Files.createLink(into.layers().disk(layer), full);
  }

  @Override
  public void close() throws EngineException {
    if (grows && !grown) {
      var _ = qmp.execute("blockdev-del", Map.of("node-name", QemuArguments.diskName(number + 1)));
    }
  }

  /** Makes the layers of a machine those that its monitor uses, after a crash in between. */
  static void recover(VmDirectory directory, Qmp qmp) throws IOException, EngineException {
    Path written = directory.cloneDisk(written(qmp));
    Path last = directory.layers().disk(directory.layers().disks().last());
    if (Files.isSameFile(written, last)) {
      Files.delete(last);
    }
  }

  /** The number of the file that the monitor writes to. */
  private static int written(Qmp qmp) throws EngineException {
    for (JsonNode device : qmp.execute("query-block", Map.of())) {
      Optional<Integer> number = number(device.path("inserted").path("node-name").asString(""));
      if (number.isPresent()) {
        return number.get();
      }
    }
    throw new EngineException(
        EngineException.Kind.FAILED, "QEMU does not say which file it writes the disk to");
  }

  private static Optional<Integer> number(String node) {
    Matcher matcher = OVERLAY.matcher(node);
    return matcher.matches() ? Optional.of(Integer.parseInt(matcher.group(1))) : Optional.empty();
  }
}
