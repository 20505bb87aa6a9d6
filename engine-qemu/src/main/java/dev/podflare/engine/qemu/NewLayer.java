package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import dev.podflare.host.Extent;
import dev.podflare.host.ProcessMemory;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;

/**
 * The file that a cut makes a layer of. All that can be done for it before the machine stops is
 * done by {@link #prepare}: it exists, and has its names in the snapshot and in the machine.
 *
 * <p>Where a {@link SpareLayer} was ready, the monitor can write to the file as well, and writes as
 * much of its memory as the spare has pages in the host's cache: one copy within a process instead
 * of two between processes, by which the machine stands still half as long. The rest is copied by
 * us: pages that are new to the cache would be counted as the monitor's, whose control group has no
 * room for them. We copy all of it if the monitor can't write, as one can't that an older version
 * of this program started.
 *
 * <p>The file is the server's own again, and immutable, with {@link #close}. A monitor that was
 * broken into could keep it open and change what its own children begin with; it had made up all of
 * that anyway. No other machine stands on it.
 *
 * <p>Used once, by one thread. {@link #close} takes the names back that lead nowhere: the one under
 * which the monitor writes, and the machine's own if it does not stand on the layer. What is left
 * by a server that died before is seen to by {@link #recover}.
 */
final class NewLayer implements AutoCloseable {

  private static final System.Logger LOG = System.getLogger(NewLayer.class.getName());

  private final VmDirectory machine;
  private final int number;
  private final Path file;
  private final FileChannel channel;
  private final long inCache;
  private boolean belongsToMachine;

  private NewLayer(VmDirectory machine, int number, Path file, FileChannel channel, long inCache) {
    this.machine = machine;
    this.number = number;
    this.file = file;
    this.channel = channel;
    this.inCache = inCache;
  }

  /**
   * Makes the file.
   *
   * @param number that no layer of the machine has
   * @param user of the monitor
   */
  static NewLayer prepare(
      VmDirectory machine, SnapshotFiles snapshot, int number, SpareLayer spare, int user)
      throws IOException {
    Path file = snapshot.layers().memory(number);
    Files.deleteIfExists(machine.newLayer());
    boolean ready = spare.becomes(file);
    FileChannel channel =
        ready
            ? FileChannel.open(file, StandardOpenOption.WRITE)
            : FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    NewLayer layer = new NewLayer(machine, number, file, channel, ready ? SpareLayer.BYTES : 0);
    boolean prepared = false;
    try {
      // From the first, all may read it whose machines will stand on it, whatever dies before that.
      Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r--r--"));
      Files.setAttribute(file, "unix:uid", user);
      Files.createLink(machine.layers().memory(number), file);
      if (ready) {
        Files.createLink(machine.newLayer(), file);
      }
      prepared = true;
      return layer;
    } finally {
      if (!prepared) {
        layer.close();
      }
    }
  }

  int number() {
    return number;
  }

  /**
   * Takes in what is in a paused machine's memory. Nothing is written if it does not fit: the
   * guests of a host whose disk is full can't write to theirs, be it for the moment that the cut
   * takes to fail.
   */
  void take(List<Extent> extents, ProcessMemory memory, LayeredMemory monitor)
      throws IOException, EngineException {
    HostDisk.requireRoom(Extent.bytes(extents) - channel.size(), file);
    long written = written(Extent.first(inCache, extents), monitor);
    List<Extent> rest = Extent.after(written, extents);
    if (!rest.isEmpty()) {
      memory.copy(rest, channel, written);
    }
  }

  /** How many bytes the monitor has written: all of these, or none that count. */
  private static long written(List<Extent> extents, LayeredMemory monitor) throws EngineException {
    if (extents.isEmpty()) {
      return 0;
    }
    try {
      monitor.write(extents);
      return Extent.bytes(extents);
    } catch (EngineException e) {
      if (e.kind() == EngineException.Kind.GONE) {
        throw e;
      }
      LOG.log(System.Logger.Level.DEBUG, "a monitor does not write its memory by itself", e);
      return 0;
    }
  }

  /** Says that the machine's own map of its memory knows this layer. */
  void belongsToMachine() {
    belongsToMachine = true;
  }

  /** Takes away what is left of the spare behind the bytes that were {@linkplain #take taken}. */
  void cutTo(long bytes) throws IOException {
    channel.truncate(bytes);
  }

  @Override
  public void close() throws IOException {
    try (channel) {
      Files.deleteIfExists(machine.newLayer());
    } finally {
      Path own = machine.layers().memory(number);
      if (belongsToMachine) {
        LayerFiles.seal(own);
      } else {
        Files.deleteIfExists(own);
      }
    }
  }

  /**
   * Takes from the monitor of a machine what a server that died has left it to write to, and takes
   * the layer back whose cut came to no end.
   */
  static void recover(VmDirectory machine) throws IOException {
    Files.deleteIfExists(machine.newLayer());
    MemoryMap map = MemoryMap.read(machine.layers().memoryMap());
    machine.layers().forgetAllBut(map);
    for (int layer : map.layers()) {
      LayerFiles.seal(machine.layers().memory(layer));
    }
  }
}
