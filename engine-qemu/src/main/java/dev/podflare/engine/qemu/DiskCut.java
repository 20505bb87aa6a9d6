package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import dev.podflare.host.Descriptor;
import dev.podflare.host.Descriptor.Access;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;

/**
 * Takes a machine's disk at the same paused instant as its memory.
 *
 * <p>A machine writes to one qcow2 file over layers that it shares. While that file is small, a
 * copy of it is the quickest, and nothing changes for the machine. Once it is large, it becomes a
 * layer itself: the machine goes on in a new, empty file over it, and so does every copy. So the
 * pause does not grow with what is on the disk, and the number of layers grows by one for each
 * {@link #LARGE_BYTES} written at most, not with each fork.
 *
 * <p>Used once, by one thread. {@link #close} undoes what was prepared if it was not needed.
 */
final class DiskCut implements AutoCloseable {

  /** A copy of as much takes a millisecond or two. */
  private static final long LARGE_BYTES = 8L << 20;

  /** With more layers than these a disk is copied, however large it is: each costs descriptors. */
  private static final int MOST_LAYERS = 40;

  private static final Pattern OVERLAY = Pattern.compile("overlay-([0-9]{1,6})");

  private final VmDirectory directory;
  private final Qmp qmp;
  private final MonitorControl control;

  /** Of the file that is written to, in {@link VmDirectory#disk}. */
  private final int number;

  /** Whether that file becomes a layer. */
  private final boolean grows;

  private boolean grown;

  private DiskCut(
      VmDirectory directory, Qmp qmp, MonitorControl control, int number, boolean grows) {
    this.directory = directory;
    this.qmp = qmp;
    this.control = control;
    this.number = number;
    this.grows = grows;
  }

  /**
   * Does what takes long before the pause.
   *
   * @param number of the file that the machine writes to
   * @param empty a layer with nothing in it
   */
  static DiskCut prepare(
      VmDirectory directory, Qmp qmp, MonitorControl control, int number, Path empty)
      throws IOException, EngineException {
    boolean grows =
        Files.size(directory.disk(number)) > LARGE_BYTES
            && directory.layers().disks().size() < MOST_LAYERS;
    if (grows) {
      Path next = directory.disk(number + 1);
      Files.deleteIfExists(next);
      Files.copy(empty, next);
      offer(control, next, number + 1);
      var _ = qmp.execute("blockdev-add", QemuArguments.overlay(number + 1, null));
    }
    return new DiskCut(directory, qmp, control, number, grows);
  }

  /** Hands a machine the file that it shall write its disk to. */
  static void offer(MonitorControl control, Path file, int number)
      throws IOException, EngineException {
    try (Descriptor readOnly = Descriptor.open(file, Access.READ);
        Descriptor writable = Descriptor.open(file, Access.READ_WRITE)) {
      control.offer(Offered.disk(number), readOnly, writable);
    }
  }

  /** The number of the file that the machine writes to after this. */
  int number() {
    return grown ? number + 1 : number;
  }

  /** The file that the machine writes to after this. */
  Path file() {
    return directory.disk(number());
  }

  /**
   * Lets the file that the machine writes to become a layer, if it is large. The machine is paused,
   * so its caches are written out, and stays so until the last {@link #copyTo}.
   */
  void cut() throws IOException, EngineException {
    if (grows && !grown) {
      grow();
    }
  }

  /**
   * Copies what the machine writes to.
   *
   * @param overlay what a copy of the machine writes to
   * @param layers get what became a layer
   */
  void copyTo(Path overlay, LayerFiles layers) throws IOException {
    if (grown) {
      int layer = directory.layers().disks().last();
      Files.createLink(layers.disk(layer), directory.layers().disk(layer));
    }
    Files.copy(file(), overlay);
  }

  private void grow() throws IOException, EngineException {
    int layer = directory.layers().disks().last() + 1;
    Path full = directory.disk(number);
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
    control.withdraw(Offered.disk(number));
    LayerFiles.seal(full);
    Files.delete(full);
  }

  @Override
  public void close() throws EngineException {
    if (grows && !grown) {
      var _ = qmp.execute("blockdev-del", Map.of("node-name", QemuArguments.diskName(number + 1)));
      control.withdraw(Offered.disk(number + 1));
    }
  }

  /**
   * Makes the layers of a machine those that its monitor uses, after a crash in between.
   *
   * @return the number of the file that it writes to
   */
  static int recover(VmDirectory directory, Qmp qmp) throws IOException, EngineException {
    int number = written(qmp);
    Path last = directory.layers().disk(directory.layers().disks().last());
    if (Files.isSameFile(directory.disk(number), last)) {
      Files.delete(last);
    }
    return number;
  }

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
