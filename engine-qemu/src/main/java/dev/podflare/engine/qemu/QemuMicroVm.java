package dev.podflare.engine.qemu;

import dev.podflare.engine.Egress;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.Exit;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.MicroVm;
import dev.podflare.engine.MicroVmId;
import dev.podflare.engine.Usage;
import dev.podflare.host.HostException;
import dev.podflare.host.Memory;
import dev.podflare.host.Precedence;
import dev.podflare.host.ProcessMemory;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.ReentrantLock;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * One QEMU process and what it holds of the host.
 *
 * <p><b>Who ends it.</b> The process may end by {@link #close()}, by its guest, or by a crash; in
 * each case {@link #ended} runs once, completes {@link #exit()}, and gives back what it held. So a
 * machine that dies by itself leaves nothing behind even if nobody calls {@code close}, and {@code
 * close} only has to kill and wait.
 *
 * <p><b>What it stands on</b> are the {@link LayerFiles} of its directory, the pages that it or an
 * ancestor wrote since they were mapped, which the kernel shares between relatives, and one disk
 * layer that it writes to.
 *
 * <p><b>When the server dies</b>, the process goes on (it has a session of its own, and sockets by
 * path); the journal in its directory says what it holds, and {@link #takeOver} makes it run again.
 */
final class QemuMicroVm implements MicroVm {

  private static final System.Logger LOG = System.getLogger(QemuMicroVm.class.getName());
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  /** A fork copies each mapping, in a microsecond or two. */
  private static final int MOST_PIECES_OF_ZYGOTE = 300;

  private static final int MOST_LOG = 2000;
  private static final Qmp.Call STOP = new Qmp.Call("stop", Map.of());
  private static final int NO_DISK = -1;

  private static final Pattern ADDRESS =
      Pattern.compile("Host virtual address for 0x0 \\(.*\\) is 0x([0-9a-f]{1,16})\\s*");

  private final MicroVmId id;
  private final MachineShape shape;
  private final HostResources host;
  private final Users.Held user;
  private final Monitor monitor;
  private final Qmp qmp;
  private final MonitorControl control;
  private final Signals signals;
  private final CompletableFuture<Exit> exit = new CompletableFuture<>();
  private final AtomicBoolean stopping = new AtomicBoolean();

  /** A connection to the agent that was made with the machine, until somebody takes it. */
  private final AtomicReference<@Nullable SocketChannel> agent;

  /** Held while the virtual processors are stopped and started, so that a cut stays one instant. */
  private final ReentrantLock standing = new ReentrantLock();

  /** Of the guest's memory in the monitor; the same in all that is forked from one. */
  private volatile long memoryAddress;

  private volatile int diskNumber = NO_DISK;
  private volatile boolean isZygote;
  private boolean paused;

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

  private QemuMicroVm(
      MachineShape shape,
      HostResources host,
      Users.Held user,
      Monitor monitor,
      Qmp qmp,
      MonitorControl control,
      @Nullable SocketChannel agent,
      Signals signals) {
    this.id = host.id();
    this.shape = shape;
    this.host = host;
    this.user = user;
    this.monitor = monitor;
    this.qmp = qmp;
    this.control = control;
    this.agent = new AtomicReference<>(agent);
    this.signals = signals;
  }

  /**
   * Takes over a process whose sockets listen. From here on its end gives back the resources; if
   * this fails, the process has ended, and the resources are still the caller's.
   */
  static QemuMicroVm connected(
      MachineShape shape, HostResources host, Users.Held user, Monitor monitor)
      throws EngineException {
    Signals signals = new Signals();
    VmDirectory directory = host.directory();
    try {
      MonitorControl control = MonitorControl.connect(directory.forkSocket());
      Qmp qmp = Qmp.connect(directory.controlSocket(), signals::take);
      QemuMicroVm machine =
          new QemuMicroVm(shape, host, user, monitor, qmp, control, null, signals);
      machine.watch();
      return machine;
    } catch (EngineException e) {
      String said = lastWords(directory);
      monitor.kill();
      monitor.ended().join();
      throw new EngineException(
          EngineException.Kind.FAILED, "QEMU did not start: " + e.getMessage() + ". " + said, e);
    }
  }

  /** A child of a machine, which does not run yet. Its end gives back the resources. */
  static QemuMicroVm forked(
      QemuMicroVm parent,
      HostResources host,
      UserOf.Choice choice,
      Monitor monitor,
      ChildEndpoints endpoints,
      boolean agentConnected)
      throws IOException {
    if (!agentConnected) {
      endpoints.agent().close();
    }
    Signals signals = new Signals();
    Qmp qmp = Qmp.inSession(endpoints.protocol(), signals::take);
    QemuMicroVm machine =
        new QemuMicroVm(
            parent.shape,
            host,
            choice.user(),
            monitor,
            qmp,
            endpoints.control(),
            agentConnected ? endpoints.agent() : null,
            signals);
    machine.memoryAddress = parent.memoryAddress;
    machine.diskNumber = parent.diskNumber;
    machine.isZygote = choice.change() instanceof MonitorControl.User.OwnAndRange;
    machine.paused = true;
    machine.watch();
    return machine;
  }

  private void watch() {
    var _ = monitor.ended().thenAcceptAsync(this::ended, task -> Thread.ofVirtual().start(task));
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
      detail = "QEMU ended" + with + ". " + lastWords(directory());
    }
    qmp.close();
    control.close();
    closeAgent();
    try {
      host.close();
    } catch (EngineException e) {
      LOG.log(System.Logger.Level.ERROR, "microVM " + id + " left something behind", e);
    }
    user.close();
    exit.complete(new Exit(cause, detail));
  }

  static String lastWords(VmDirectory directory) {
    try {
      String log = Files.readString(directory.log());
      String tail = log.substring(Math.max(0, log.length() - MOST_LOG)).strip();
      return tail.isEmpty() ? "It said nothing." : "It said: " + tail;
    } catch (IOException e) {
      return "Its log can't be read.";
    }
  }

  // ---- what it is made of ----

  /** Learns of a process that was just started what its children shall know. */
  void learn() throws EngineException {
    memoryAddress = askMemoryAddress();
    qmp.execute(
        "migrate-set-capabilities",
        Map.of("capabilities", List.of(Map.of("capability", "events", "state", true))));
    // The guest would be told to announce itself to its network, under the address of what it is a
    // copy of, which it gives up at once.
    qmp.execute("migrate-set-parameters", Map.of("announce-rounds", 0));
  }

  private long askMemoryAddress() throws EngineException {
    String said = qmp.monitor("gpa2hva 0");
    Matcher matcher = ADDRESS.matcher(said);
    if (!matcher.matches()) {
      throw new EngineException(
          EngineException.Kind.FAILED, "QEMU does not say where the guest's memory is: " + said);
    }
    return Long.parseUnsignedLong(matcher.group(1), 16);
  }

  /** Makes a child of a blank monitor what a snapshot says. It does not run yet. */
  void restore(SnapshotFiles snapshot) throws EngineException {
    new Restore(this, snapshot).run();
    diskNumber = 0;
  }

  /** Waits until device state is there that comes in. */
  void awaitState() throws EngineException {
    try {
      if (!signals.incoming.get(PATIENCE.toMillis(), TimeUnit.MILLISECONDS)) {
        throw new EngineException(
            EngineException.Kind.SNAPSHOT_MISMATCH,
            "QEMU refused the snapshot. " + lastWords(directory()));
      }
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
      diskNumber = DiskCut.recover(directory(), qmp);
    } catch (IOException e) {
      throw HostDisk.failure("what microVM " + id + " stands on can't be made sense of", e);
    }
    memoryAddress = askMemoryAddress();
    resume();
  }

  // ---- being cut ----

  /** What is done with a machine's disk while it stands still. */
  interface InPause {
    void run(DiskCut disk) throws IOException, EngineException;
  }

  /**
   * Lets the machine stand still while something is done. It goes on then, if it went on before,
   * also when this fails.
   *
   * @param empty a layer for its disk with nothing in it
   * @return how long it stood still
   */
  Duration whilePaused(Path empty, InPause action) throws EngineException, IOException {
    standing.lock();
    try (DiskCut disk = DiskCut.prepare(directory(), qmp, control, diskNumber, empty)) {
      boolean wasPaused = paused;
      long begin = System.nanoTime();
      try {
        stop();
        cut(disk);
        action.run(disk);
      } finally {
        if (!wasPaused && monitor.isAlive()) {
          letRun();
        }
      }
      return wasPaused ? Duration.ZERO : Duration.ofNanos(System.nanoTime() - begin);
    } finally {
      standing.unlock();
    }
  }

  private void cut(DiskCut disk) throws IOException, EngineException {
    try {
      disk.cut();
    } finally {
      diskNumber = disk.number();
    }
  }

  /** Cuts this machine for a snapshot that is kept, and leaves it paused. */
  void checkpoint(SnapshotFiles into, Path empty) throws EngineException {
    standing.lock();
    try {
      new Checkpoint(this, into).run(empty, this::cut);
    } catch (IOException e) {
      throw HostDisk.failure("microVM " + id + " can't be frozen", e);
    } finally {
      standing.unlock();
    }
  }

  /** Lets all others go before it, until it is settled. */
  void goLast() throws EngineException {
    try {
      Precedence.last(monitor.pid());
    } catch (IOException e) {
      throw HostDisk.failure("microVM " + id + " can't be made to go last", e);
    }
  }

  /**
   * Stops it for good, and lets what it has written of its memory become a layer. All of its memory
   * is mapped from files then, which a fork need not go through page by page, nor write to a
   * snapshot again.
   */
  void settle() throws EngineException {
    standing.lock();
    try {
      stop();
      // Its copies begin with what it has.
      Precedence.usual(monitor.pid());
      LayerFiles layers = directory().layers();
      MemoryMap below = MemoryMap.read(layers.memoryMap());
      Cut.Layer cut =
          new Cut(processMemory(), below)
              .coarselyInto(layers, below.nextLayer(), MOST_PIECES_OF_ZYGOTE);
      layers.write(cut.map());
      // Piece by piece what is there already: it may be cut off anywhere.
      Restore.mapMemory(this, cut.map());
    } catch (IOException e) {
      throw HostDisk.failure("microVM " + id + " can't be settled", e);
    } finally {
      standing.unlock();
    }
  }

  ProcessMemory processMemory() {
    return new ProcessMemory(monitor.pid(), memoryAddress, (long) shape.memoryMiB() << 20);
  }

  VmDirectory directory() {
    return host.directory();
  }

  HostResources host() {
    return host;
  }

  Users.Held user() {
    return user;
  }

  Qmp qmp() {
    return qmp;
  }

  MonitorControl control() {
    return control;
  }

  long memoryAddress() {
    return memoryAddress;
  }

  /** Whether it is a machine, and not blank. */
  boolean hasDisk() {
    return diskNumber != NO_DISK;
  }

  int diskNumber() {
    return diskNumber;
  }

  /** Whether its children are of different owners. */
  boolean isZygote() {
    return isZygote;
  }

  Monitor monitor() {
    return monitor;
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
    SocketChannel made = agent.getAndSet(null);
    if (made != null) {
      return made;
    }
    try {
      SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
      try {
        channel.connect(UnixDomainSocketAddress.of(directory().agentSocket()));
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

  private void closeAgent() {
    SocketChannel unused = agent.getAndSet(null);
    if (unused != null) {
      try {
        unused.close();
      } catch (IOException e) {
        LOG.log(System.Logger.Level.DEBUG, "a channel to an agent did not close cleanly", e);
      }
    }
  }

  @Override
  public void pause() throws EngineException {
    standing.lock();
    try {
      stop();
    } finally {
      standing.unlock();
    }
  }

  private void stop() throws EngineException {
    if (!paused) {
      var _ = qmp.execute(STOP);
      paused = true;
    }
  }

  @Override
  public void resume() throws EngineException {
    standing.lock();
    try {
      letRun();
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
      host.allow(egress);
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
      OptionalLong memory = host.group().memoryBytes();
      return new Usage(
          memory.isPresent() ? memory.getAsLong() : Memory.privateTo(monitor.pid()),
          monitor.cpuTime(),
          directory().diskBytes());
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
    monitor.kill();
    exit.join();
  }
}
