package dev.podflare.engine.qemu;

import dev.podflare.engine.Capture;
import dev.podflare.engine.Egress;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.Exit;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.MicroVm;
import dev.podflare.engine.MicroVmId;
import dev.podflare.engine.Snapshot;
import dev.podflare.engine.Usage;
import dev.podflare.host.HostException;
import dev.podflare.host.Memory;
import dev.podflare.host.Precedence;
import dev.podflare.host.ProcessMemory;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One QEMU process and what it holds of the host.
 *
 * <p><b>Who ends it.</b> The process may end by {@link #close()}, by its guest, or by a crash; in
 * each case its {@code onExit} runs once, completes {@link #exit()}, and gives back what it held.
 * So a machine that dies by itself leaves nothing behind even if nobody calls {@code close}, and
 * {@code close} only has to kill and wait.
 *
 * <p><b>What it stands on</b> are the {@link LayerFiles} of its directory, and one disk layer that
 * it writes to. A capture adds a layer to them, and puts it under the machine. The files in the
 * directory are always enough to make sense of the process: a layer is written down there before it
 * is used, and what a page contains is the same before and after.
 *
 * <p><b>When the server dies</b>, the process goes on (it has a session of its own, and sockets by
 * path); the journal in its directory says what it holds, and {@link #takeOver} makes it run again.
 */
final class QemuMicroVm implements MicroVm {

  private static final System.Logger LOG = System.getLogger(QemuMicroVm.class.getName());
  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final int MOST_LOG = 2000;
  private static final Qmp.Call STOP = new Qmp.Call("stop", Map.of());

  private final MicroVmId id;
  private final MachineShape shape;
  private final VmDirectory directory;
  private final HostResources resources;
  private final Monitor monitor;
  private final Qmp qmp;
  private final CompletableFuture<Exit> exit = new CompletableFuture<>();
  private final AtomicBoolean stopping = new AtomicBoolean();

  /** Held while the virtual processors are stopped and started, so that a cut stays one instant. */
  private final ReentrantLock standing = new ReentrantLock();

  private boolean paused;

  /** Beside the threads of all others. */
  private enum Rank {
    /** The monitor goes before all else: from when it waits until it lets its guest run. */
    FIRST,
    USUAL,
    /** The guest runs behind those of others, until it is to {@link #takeFullShare}. */
    LAST
  }

  private volatile Rank rank = Rank.USUAL;

  /** Empty for a machine that was booted: its memory has no layers. */
  private volatile Optional<LayeredMemory> memory = Optional.empty();

  /** Filled by QMP's reader thread, which starts before this object is complete. */
  static final class Signals {
    final CompletableFuture<Boolean> incoming = new CompletableFuture<>();
    final AtomicBoolean endedByGuest = new AtomicBoolean();

    void take(Qmp.Event event) {
      switch (event.name()) {
        case "SHUTDOWN" -> endedByGuest.set(event.data().path("guest").asBoolean(false));
        case "MIGRATION" -> {
          switch (event.data().path("status").asString("")) {
            case "completed" -> incoming.complete(true);
            case "failed" -> incoming.complete(false);
            default -> {}
          }
        }
        default -> {}
      }
    }
  }

  private final Signals signals;

  private QemuMicroVm(
      MicroVmId id,
      MachineShape shape,
      VmDirectory directory,
      HostResources resources,
      Monitor monitor,
      Qmp qmp,
      Signals signals) {
    this.id = id;
    this.shape = shape;
    this.directory = directory;
    this.resources = resources;
    this.monitor = monitor;
    this.qmp = qmp;
    this.signals = signals;
  }

  /**
   * Takes over a process whose sockets listen. From here on its end gives back the resources; if
   * this fails, the process has ended, and the resources are still the caller's.
   */
  static QemuMicroVm of(
      MicroVmId id,
      MachineShape shape,
      VmDirectory directory,
      HostResources resources,
      Monitor monitor)
      throws EngineException {
    Signals signals = new Signals();
    Qmp qmp;
    try {
      qmp = Qmp.connect(directory.controlSocket(), signals::take);
    } catch (EngineException e) {
      String said = lastWords(directory);
      monitor.kill();
      monitor.ended().join();
      throw new EngineException(
          EngineException.Kind.FAILED, "QEMU did not start: " + e.getMessage() + ". " + said, e);
    }
    QemuMicroVm microVm = new QemuMicroVm(id, shape, directory, resources, monitor, qmp, signals);
    var _ = monitor.ended().thenAcceptAsync(microVm::ended, task -> Thread.ofVirtual().start(task));
    return microVm;
  }

  private void ended(OptionalInt code) {
    Exit.Cause cause;
    String detail;
    qmp.awaitEnd();
    if (signals.endedByGuest.get()) {
      // Also if it was to be stopped: who loses its agent stops it, and that is the same end.
      cause = Exit.Cause.GUEST_ENDED;
      detail = "the guest powered off or its kernel panicked";
    } else if (stopping.get()) {
      cause = Exit.Cause.STOPPED;
      detail = "stopped by the server";
    } else {
      cause = Exit.Cause.CRASHED;
      String with = code.isPresent() ? " with code " + code.getAsInt() : "";
      detail = "QEMU ended" + with + ". " + lastWords(directory);
    }
    qmp.close();
    try {
      resources.close();
    } catch (EngineException e) {
      LOG.log(System.Logger.Level.ERROR, "microVM " + id + " left something behind", e);
    }
    exit.complete(new Exit(cause, detail));
  }

  private static String lastWords(VmDirectory directory) {
    try {
      String log = Files.readString(directory.log());
      String tail = log.substring(Math.max(0, log.length() - MOST_LOG)).strip();
      return tail.isEmpty() ? "It said nothing." : "It said: " + tail;
    } catch (IOException e) {
      return "Its log can't be read.";
    }
  }

  // ---- becoming something ----

  /**
   * Makes a waiting machine a clone of a snapshot. It does not run yet.
   *
   * @param map of the snapshot
   */
  void become(SnapshotFiles snapshot, MemoryMap map) throws EngineException {
    try {
      boolean founded = directory.layers().hasFoundationOf(snapshot.layers());
      if (founded) {
        snapshot.layers().shareWhatStandsOnIt(directory.layers(), map);
      } else {
        directory.layers().forgetFoundation();
        snapshot.layers().shareWith(directory.layers(), map);
      }
      Files.createLink(directory.layers().memoryMap(), snapshot.layers().memoryMap());
      memory().become(map);
      NavigableSet<Integer> disks = directory.layers().disks();
      if (founded && disks.size() == 1) {
        LayerFiles.overwrite(directory.cloneDisk(QemuArguments.OPEN_DISK), snapshot.overlay());
      } else {
        standOn(disks, founded, snapshot.overlay());
      }
      loadDeviceState(snapshot.deviceState());
      paused = true;
    } catch (IOException e) {
      throw failure("microVM " + id + " can't be made what it shall be", e);
    }
  }

  /** Puts disks in place of those that are open already. */
  private void standOn(NavigableSet<Integer> layers, boolean founded, Path overlay)
      throws IOException, EngineException {
    Path disk = directory.cloneDisk(QemuArguments.TOLD_DISK);
    Files.copy(overlay, disk);
    directory.giveToMonitor(disk, resources.lease().userId());
    List<Qmp.Call> calls = new ArrayList<>();
    if (!founded) {
      calls.add(new Qmp.Call("blockdev-add", QemuArguments.baseDisk()));
      calls.add(put("clone-base", QemuArguments.BASE_DEVICE));
    }
    calls.add(new Qmp.Call("blockdev-add", QemuArguments.cloneDisk(layers, founded)));
    calls.add(put(QemuArguments.diskName(QemuArguments.TOLD_DISK), QemuArguments.DISK_DEVICE));
    var _ = qmp.executeAll(calls);
    Files.deleteIfExists(directory.cloneDisk(QemuArguments.OPEN_DISK));
  }

  private static Qmp.Call put(String node, String device) {
    return new Qmp.Call(
        "qom-set",
        Map.of("path", "/machine/peripheral/" + device, "property", "drive", "value", node));
  }

  /** Learns of a clone's process all that it can be asked before it is known what it shall be. */
  void getReady() throws EngineException {
    memory = Optional.of(LayeredMemory.of(qmp, directory));
    qmp.execute(
        "migrate-set-capabilities",
        Map.of("capabilities", List.of(Map.of("capability", "events", "state", true))));
    // The guest would be told to announce itself to its network, under the address of what it is a
    // copy of, which it gives up at once.
    qmp.execute("migrate-set-parameters", Map.of("announce-rounds", 0));
    beFirst();
  }

  /**
   * Lets the monitor do at once what makes it a clone, though others compute: the guests of clones
   * that run already, most of all, have much to do at first. It serves no guest yet, so nobody can
   * make it keep the processor.
   */
  private void beFirst() {
    try {
      rank = Rank.FIRST;
      if (!Precedence.first(monitor.pid(), QemuArguments::isServing)) {
        LOG.log(System.Logger.Level.DEBUG, "the kernel lets no monitor go before others");
      }
    } catch (IOException e) {
      LOG.log(System.Logger.Level.DEBUG, "the threads of microVM " + id + " can't be listed", e);
    }
  }

  private void beUsual() throws EngineException {
    try {
      Precedence.none(monitor.pid());
      rank = Rank.USUAL;
    } catch (IOException e) {
      throw failure("the monitor of microVM " + id + " can't be made one of many again", e);
    }
  }

  private void beLast() throws EngineException {
    try {
      rank = Rank.LAST;
      if (!Precedence.last(monitor.pid(), QemuArguments::isProcessor)) {
        LOG.log(System.Logger.Level.DEBUG, "the kernel lets no guest go after others");
      }
    } catch (IOException e) {
      throw failure("the processors of microVM " + id + " can't be made to yield", e);
    }
  }

  /** Lets the guest run, behind all others until it is to {@link #takeFullShare}. */
  void resumeBehindOthers() throws EngineException {
    standing.lock();
    try {
      letRun();
      beLast();
    } finally {
      standing.unlock();
    }
  }

  @Override
  public void takeFullShare() throws EngineException {
    if (rank == Rank.LAST) {
      beUsual();
    }
  }

  /** What runs behind all others would also end behind them. */
  private void hurryToEnd() {
    try {
      takeFullShare();
    } catch (EngineException e) {
      LOG.log(System.Logger.Level.DEBUG, "microVM " + id + " ends when nobody else computes", e);
    }
  }

  private LayeredMemory memory() {
    return memory.orElseThrow(() -> new IllegalStateException("this microVM was booted"));
  }

  /** Gives a waiting clone the state of processors and devices. */
  private void loadDeviceState(Path state) throws EngineException {
    try (FileChannel from = FileChannel.open(state);
        SocketChannel to = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      to.connect(UnixDomainSocketAddress.of(directory.incomingSocket()));
      ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(from.size()));
      while (bytes.hasRemaining() && from.read(bytes) >= 0) {}
      bytes.flip();
      while (bytes.hasRemaining()) {
        to.write(bytes);
      }
      to.shutdownOutput();
      if (!signals.incoming.get(PATIENCE.toMillis(), TimeUnit.MILLISECONDS)) {
        throw new EngineException(
            EngineException.Kind.SNAPSHOT_MISMATCH,
            "QEMU refused the snapshot. " + lastWords(directory));
      }
    } catch (IOException e) {
      throw new EngineException(
          EngineException.Kind.FAILED, "the snapshot's state can't be loaded", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new EngineException(EngineException.Kind.FAILED, "interrupted while loading", e);
    } catch (ExecutionException | TimeoutException e) {
      throw new EngineException(
          EngineException.Kind.FAILED, "QEMU does not finish loading the snapshot", e);
    }
  }

  /** Makes a machine run that a server left which died, whatever it was doing with it. */
  void takeOver() throws EngineException {
    try {
      DiskCut.recover(directory, qmp);
      NewLayer.recover(directory);
    } catch (IOException e) {
      throw failure("what microVM " + id + " stands on can't be made sense of", e);
    }
    memory = Optional.of(LayeredMemory.of(qmp, directory));
    beUsual();
    resume();
  }

  // ---- being cut ----

  /** Cuts this clone at one instant. It goes on, also when this fails. */
  Capture capture(SnapshotFiles into, SpareLayer spare) throws EngineException {
    standing.lock();
    try {
      MemoryMap below = prepareCut(into);
      int user = resources.lease().userId();
      try (DiskCut disk = DiskCut.prepare(directory, qmp, user, shape);
          NewLayer layer = NewLayer.prepare(directory, into, below.nextLayer(), spare, user)) {
        boolean wasPaused = paused;
        long begin = System.nanoTime();
        Cut.Layer cut;
        // The monitor writes one file while we see to the others, which it need not know.
        try (Qmp.Sent sent = qmp.send(List.of(STOP, savingDeviceState()))) {
          var _ = sent.next();
          paused = true;
          cut = new Cut(processMemory(), below).into(layer, memory());
          disk.take(into);
          goOnAbove(cut, layer);
          var _ = sent.next();
        } finally {
          if (!wasPaused) {
            resume();
          }
        }
        Duration pause = Duration.ofNanos(System.nanoTime() - begin);
        layer.cutTo(cut.bytes());
        finish(cut, into);
        directory.layers().forgetAllBut(cut.map());
        return new Capture(new Snapshot(into.directory(), shape), pause, cut.bytes());
      }
    } catch (IOException e) {
      throw failure("microVM " + id + " can't be captured", e);
    } finally {
      standing.unlock();
    }
  }

  /** Cuts this clone, and leaves it paused; the snapshot has no manifest yet. */
  void captureForDisk(SnapshotFiles into) throws EngineException {
    standing.lock();
    try {
      MemoryMap below = prepareCut(into);
      try (DiskCut disk = DiskCut.prepare(directory, qmp, resources.lease().userId(), shape)) {
        pause();
        saveDeviceState();
        Cut.Layer cut =
            new Cut(processMemory(), below).withoutZerosInto(into.layers(), below.nextLayer());
        disk.take(into);
        finish(cut, into);
      }
    } catch (IOException e) {
      throw failure("microVM " + id + " can't be captured", e);
    } finally {
      standing.unlock();
    }
  }

  private MemoryMap prepareCut(SnapshotFiles into) throws IOException, EngineException {
    if (!Files.exists(directory.layers().memoryMap())) {
      throw new EngineException(
          EngineException.Kind.FAILED, "a microVM that was booted can only be frozen");
    }
    MemoryMap below = MemoryMap.read(directory.layers().memoryMap());
    if (Cut.isDeep(below)) {
      below = Cut.flatten(below, directory.layers());
      directory.layers().write(below);
      directory.layers().forgetAllBut(below);
    }
    directory.layers().shareWith(into.layers(), below);
    return below;
  }

  /**
   * Gives the memory that is in the new layer back to the host. The layer is written down first, so
   * that it is known whatever dies in between; until it is mapped, the pages are there twice.
   */
  private void goOnAbove(Cut.Layer cut, NewLayer layer) throws IOException, EngineException {
    if (cut.pieces().isEmpty()) {
      return;
    }
    directory.layers().write(cut.map());
    layer.belongsToMachine();
    memory().put(cut.pieces());
  }

  private void finish(Cut.Layer cut, SnapshotFiles into) throws IOException {
    into.layers().write(cut.map());
    Files.move(directory.deviceState(), into.deviceState());
    LayerFiles.seal(into.deviceState());
    LayerFiles.seal(into.overlay());
    LayerFiles.seal(into.layers().memoryMap());
  }

  private ProcessMemory processMemory() {
    return new ProcessMemory(monitor.pid(), memory().address(), (long) shape.memoryMiB() << 20);
  }

  /** Writes the state of processors and devices of a paused machine, without its memory. */
  void saveDeviceState() throws EngineException {
    var _ = qmp.execute(savingDeviceState());
  }

  private Qmp.Call savingDeviceState() {
    String file = VmDirectory.WORK_IN_JAIL + "/" + directory.deviceState().getFileName();
    return new Qmp.Call("xen-save-devices-state", Map.of("filename", file, "live", false));
  }

  private static EngineException failure(String what, IOException cause) {
    return new EngineException(
        HostDisk.isFull(cause) ? EngineException.Kind.NO_ROOM : EngineException.Kind.FAILED,
        what + ": " + cause.getMessage(),
        cause);
  }

  VmDirectory directory() {
    return directory;
  }

  HostResources resources() {
    return resources;
  }

  long pid() {
    return monitor.pid();
  }

  @Override
  public MicroVmId id() {
    return id;
  }

  @Override
  public MachineShape shape() {
    return shape;
  }

  @Override
  public SocketChannel attach() throws EngineException {
    try {
      SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
      try {
        channel.connect(UnixDomainSocketAddress.of(directory.agentSocket()));
        return channel;
      } catch (IOException e) {
        channel.close();
        throw e;
      }
    } catch (IOException e) {
      throw new EngineException(
          EngineException.Kind.GONE, "the channel of microVM " + id + " is not there", e);
    }
  }

  @Override
  public void pause() throws EngineException {
    standing.lock();
    try {
      var _ = qmp.execute(STOP);
      paused = true;
    } finally {
      standing.unlock();
    }
  }

  @Override
  public void resume() throws EngineException {
    standing.lock();
    try {
      letRun();
      if (rank == Rank.FIRST) {
        beUsual();
      }
    } finally {
      standing.unlock();
    }
  }

  private void letRun() throws EngineException {
    qmp.execute("cont", Map.of());
    paused = false;
  }

  @Override
  public void allow(Egress egress) throws EngineException {
    try {
      switch (egress) {
        case Egress.Outside() -> resources.network().allowOutside();
        case Egress.Nothing() -> resources.network().allowNothing();
      }
    } catch (HostException e) {
      throw new EngineException(
          exit.isDone() ? EngineException.Kind.GONE : EngineException.Kind.FAILED,
          "the network policy of microVM " + id + " can't be set",
          e);
    }
  }

  @Override
  public Usage usage() throws EngineException {
    try {
      return new Usage(Memory.privateTo(monitor.pid()), monitor.cpuTime(), directory.diskBytes());
    } catch (HostException | IOException e) {
      throw new EngineException(
          monitor.isAlive() ? EngineException.Kind.FAILED : EngineException.Kind.GONE,
          "what microVM " + id + " uses can't be measured",
          e);
    }
  }

  @Override
  public CompletableFuture<Exit> exit() {
    return exit.copy();
  }

  @Override
  public void close() {
    stopping.set(true);
    hurryToEnd();
    monitor.kill();
    exit.join();
  }
}
