package dev.podflare.engine.qemu;

import dev.podflare.engine.BootImage;
import dev.podflare.engine.BootRequest;
import dev.podflare.engine.Capture;
import dev.podflare.engine.Egress;
import dev.podflare.engine.Engine;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.EngineFacts;
import dev.podflare.engine.Isolation;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.MicroVm;
import dev.podflare.engine.MicroVmId;
import dev.podflare.engine.Prepared;
import dev.podflare.engine.Snapshot;
import dev.podflare.host.Command;
import dev.podflare.host.ControlGroup;
import dev.podflare.host.HostException;
import dev.podflare.host.HostResolvers;
import dev.podflare.host.NetworkUpkeep;
import dev.podflare.host.ProcessIdentity;
import dev.podflare.host.SandboxNetwork;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.function.UnaryOperator;

/**
 * The engine on QEMU: hardware virtualization where the host has it, emulation elsewhere.
 *
 * <p><b>Memory.</b> A booted machine's memory is a file that it maps shared, so that the file is
 * the base image once the machine is paused. A clone maps the same file privately: pages are shared
 * by all until written. What a clone has written is, when it is captured, copied into a layer, and
 * the clones of the capture map the base with the layers over it ({@link MemoryMap}); so does the
 * clone itself from then on. <b>Device state</b> is saved without memory (QEMU's {@code
 * xen-save-devices-state}, meant for hypervisors that keep memory themselves, which is the case
 * here) and loaded as an incoming migration. <b>The disk</b> is the snapshot's layers under a qcow2
 * layer per clone. All that is immutable is shared by hard links ({@link LayerFiles}).
 *
 * <p><b>A clone</b> starts as a process that waits for what it shall be ({@link WaitingMachines}).
 *
 * <p><b>Each machine</b> is one process in a {@link Jail}, with a directory, a user, a network
 * namespace and a control group of its own ({@link HostResources}). All of it is in a journal
 * before it is taken, so what a killed server leaves is found by {@link #reap()}.
 */
public final class QemuEngine implements Engine {

  private static final System.Logger LOG = System.getLogger(QemuEngine.class.getName());

  /**
   * Changes whenever the machine in {@link QemuArguments} does, as old snapshots don't fit then.
   */
  private static final int MACHINE_REVISION = 5;

  /**
   * A Unix socket's path has room for 107 bytes: unix(7). What we add to the directory needs 40.
   */
  private static final int LONGEST_DIRECTORY = 107 - 40;

  /** Monitors that wait for each size of machine: as many children a fork usually has. */
  private static final int MOST_WAITING = 5;

  /** More starts at once would only make all of them late. */
  private static final int MOST_AT_ONCE = 8;

  private static final String NOT_STARTED = "a clone can't be started";

  private final Qemu qemu;
  private final NativePrograms programs;
  private final Path machines;
  private final EngineFacts facts;
  private final NetworkUpkeep networks;
  private final Map<MicroVmId, QemuMicroVm> running = new ConcurrentHashMap<>();

  /** Those that have a directory, or are about to, and do not run yet. */
  private final Set<MicroVmId> launching = ConcurrentHashMap.newKeySet();

  private final VerifiedFiles verified = new VerifiedFiles();
  private final Foundations foundations;
  private final SpareLayer spare;
  private final WaitingMachines waiting = new WaitingMachines(MOST_WAITING, this::launchWaiting);
  private volatile boolean closed;

  private QemuEngine(
      Qemu qemu,
      NativePrograms programs,
      Path machines,
      EngineFacts facts,
      NetworkUpkeep networks) {
    this.networks = networks;
    this.qemu = qemu;
    this.programs = programs;
    this.machines = machines;
    this.facts = facts;
    this.foundations = new Foundations(machines.resolveSibling("foundations"));
    this.spare = new SpareLayer(machines.resolveSibling("spare-layer"));
  }

  /**
   * Opens the engine.
   *
   * @param directory where it keeps its machines; one engine at a time may use it
   * @throws EngineException if QEMU is missing or the host refuses what every machine needs
   */
  public static QemuEngine in(Path directory) throws EngineException {
    Path absolute = directory.toAbsolutePath().normalize();
    if (absolute.toString().length() > LONGEST_DIRECTORY) {
      throw new EngineException(
          EngineException.Kind.FAILED,
          "the data directory's path is too long for Unix sockets: at most "
              + LONGEST_DIRECTORY
              + " characters, but "
              + absolute
              + " has "
              + absolute.toString().length()
              + "; name a shorter one with --data-dir");
    }
    try {
      Path machines = Files.createDirectories(absolute.resolve("vm"));
      Qemu qemu = Qemu.find();
      NativePrograms programs = NativePrograms.unpack(absolute.resolve("native"));
      return new QemuEngine(qemu, programs, machines, facts(qemu), NetworkUpkeep.start());
    } catch (HostException | IOException e) {
      throw new EngineException(
          EngineException.Kind.FAILED, "the QEMU engine can't start: " + e.getMessage(), e);
    }
  }

  /** What an engine would be here, without opening one; empty if QEMU is not installed. */
  public static Optional<EngineFacts> examine() {
    try {
      return Optional.of(facts(Qemu.find()));
    } catch (HostException e) {
      LOG.log(System.Logger.Level.DEBUG, "there is no QEMU to open", e);
      return Optional.empty();
    }
  }

  private static EngineFacts facts(Qemu qemu) throws HostException {
    return new EngineFacts(
        "QEMU " + qemu.version(),
        qemu.accelerator().isolation(),
        qemu.accelerator().reason(),
        fingerprint(qemu),
        warnings());
  }

  /**
   * What decides whether device state loads: the machine and its processor. Not QEMU's version,
   * which keeps to the form of a machine type's state from one to the next; should it fail to,
   * loading fails, and says so.
   */
  private static String fingerprint(Qemu qemu) {
    return String.join(
        "/",
        "qemu",
        qemu.machineType(),
        "machine-" + MACHINE_REVISION,
        qemu.accelerator().isolation().word(),
        qemu.accelerator().processorFingerprint());
  }

  private static List<String> warnings() throws HostException {
    List<String> warnings = new ArrayList<>();
    if (HostResolvers.ofHost().addresses().isEmpty()) {
      warnings.add(
          "Sandboxes can't resolve names: the host has no resolver but on its loopback, where no"
              + " sandbox may reach. docs/network.md says how to name another.");
    }
    for (String limit : ControlGroup.unavailable()) {
      warnings.add("Sandboxes run without a " + limit + ".");
    }
    return warnings;
  }

  @Override
  public EngineFacts facts() {
    return facts;
  }

  @Override
  public Prepared prepared() {
    return waiting.prepared();
  }

  @Override
  public MicroVm boot(BootRequest request) throws EngineException {
    BootImage image = request.image();
    return launch(
        request.id(),
        request.shape(),
        directory -> {
          prepareBootFiles(directory, request);
          return new QemuArguments(qemu, request.shape()).boot(image);
        },
        jail ->
            jail.showing(image.kernel(), QemuArguments.KERNEL.substring(1))
                .showing(image.initramfs(), QemuArguments.INITRAMFS.substring(1))
                .showing(image.rootfs(), QemuArguments.ROOTFS.substring(1)));
  }

  private static void prepareBootFiles(VmDirectory directory, BootRequest request)
      throws IOException, HostException {
    MachineShape shape = request.shape();
    directory.layers().takeRootfs(request.image().rootfs());
    createSparse(directory.memory(), shape.memoryMiB());
    createSparse(directory.bootDisk(), shape.diskMiB());
    // Without a journal: memory and disk are only ever cut at one instant, so nothing is to
    // recover.
    Command.of(
            "mke2fs",
            "-q",
            "-F",
            "-t",
            "ext4",
            "-m",
            "0",
            "-O",
            "^has_journal",
            "-E",
            "lazy_itable_init=0",
            directory.bootDisk().toString())
        .run();
  }

  private static void createSparse(Path file, int mebibytes) throws IOException {
    try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.setLength((long) mebibytes << 20);
    }
  }

  @Override
  public Capture capture(MicroVm microVm, Path directory) throws EngineException {
    try {
      return own(microVm).capture(new SnapshotFiles(directory), spare);
    } catch (EngineException e) {
      throw HostDisk.explained(e, directory);
    }
  }

  @Override
  public Snapshot freeze(MicroVm microVm, Path directory) throws EngineException {
    QemuMicroVm machine = own(microVm);
    SnapshotFiles files = new SnapshotFiles(directory);
    boolean frozen = false;
    try {
      if (Files.exists(machine.directory().layers().memoryMap())) {
        machine.captureForDisk(files);
      } else {
        machine.pause();
        machine.saveDeviceState();
        takeBooted(machine, files);
      }
      Snapshot snapshot = files.complete(machine.shape(), facts.fingerprint(), verified);
      frozen = true;
      return snapshot;
    } catch (EngineException e) {
      throw HostDisk.explained(e, directory);
    } catch (HostException | IOException e) {
      throw HostDisk.explained(
          new EngineException(
              EngineException.Kind.FAILED, "the snapshot can't be written: " + e.getMessage(), e),
          directory);
    } finally {
      if (frozen) {
        machine.close();
      } else if (!machine.exit().isDone()) {
        machine.resume();
      }
    }
  }

  /** The files of a machine that was booted become the base of all that is cloned from it. */
  private static void takeBooted(QemuMicroVm machine, SnapshotFiles files)
      throws IOException, HostException {
    VmDirectory from = machine.directory();
    LayerFiles layers = files.layers();
    // The paused process writes no more: its files can be taken from under it.
    Files.move(from.memory(), layers.memory(0));
    Files.move(from.deviceState(), files.deviceState());
    Files.move(from.bootDisk(), layers.disk(0));
    Files.createLink(layers.rootfs(), from.layers().rootfs());
    layers.write(layers.mapOfBase());
    emptyOverlay(files.overlay(), machine.shape());
    for (Path file :
        List.of(layers.memory(0), layers.disk(0), layers.memoryMap(), files.deviceState())) {
      LayerFiles.seal(file);
    }
    LayerFiles.seal(files.overlay());
  }

  /** A layer of a disk with nothing in it. What lies below is named when it is used, not in it. */
  static void emptyOverlay(Path file, MachineShape shape) throws HostException {
    Command.of("qemu-img", "create", "-q", "-f", "qcow2", file.toString(), shape.diskMiB() + "M")
        .run();
  }

  @Override
  public Snapshot open(Path directory) throws EngineException {
    return new SnapshotFiles(directory).open(facts.fingerprint(), verified);
  }

  /** None runs before all could: the first ones would take the processors from the others. */
  @Override
  public List<MicroVm> start(Snapshot snapshot, Egress egress, int count) throws EngineException {
    SnapshotFiles files = new SnapshotFiles(snapshot.directory());
    learnFoundation(snapshot.shape(), files.layers());
    MemoryMap map = mapOf(files);
    List<QemuMicroVm> clones = new CopyOnWriteArrayList<>();
    boolean running = false;
    try {
      atOnce(
          NOT_STARTED,
          count,
          _ -> {
            QemuMicroVm clone = waiting.take(snapshot.shape());
            clones.add(clone);
            clone.become(files, map);
            if (egress instanceof Egress.Nothing) {
              clone.allow(egress);
            }
            writeJournal(clone.directory(), clone.resources(), clone.shape(), clone.pid(), true);
          });
      if (count == 1) {
        clones.getFirst().resume();
      } else {
        atOnce(NOT_STARTED, count, index -> clones.get(index).resumeBehindOthers());
      }
      running = true;
      return List.copyOf(clones);
    } catch (EngineException e) {
      throw HostDisk.explained(e, machines);
    } finally {
      if (!running) {
        closeAll(clones);
      }
    }
  }

  private static MemoryMap mapOf(SnapshotFiles files) throws EngineException {
    try {
      return MemoryMap.read(files.layers().memoryMap());
    } catch (IOException e) {
      throw new EngineException(
          EngineException.Kind.FAILED, "the memory of a snapshot can't be made sense of", e);
    }
  }

  private void learnFoundation(MachineShape shape, LayerFiles layers) {
    try {
      foundations.learn(shape, layers);
    } catch (IOException | HostException e) {
      LOG.log(System.Logger.Level.WARNING, "machines will wait without their lowest disks", e);
    }
  }

  private interface Part {
    void run(int index) throws EngineException, IOException;
  }

  /** Runs a number of parts side by side and returns when all have ended; throws if one failed. */
  private static void atOnce(String failure, int count, Part part) throws EngineException {
    Semaphore turn = new Semaphore(MOST_AT_ONCE);
    List<Future<Boolean>> parts = new ArrayList<>();
    try (ExecutorService each = Executors.newVirtualThreadPerTaskExecutor()) {
      for (int i = 0; i < count; i++) {
        int index = i;
        parts.add(
            each.submit(() -> {
              turn.acquire();
              try {
                part.run(index);
                return true;
              } finally {
                turn.release();
              }
            }));
      }
    }
    for (Future<Boolean> done : parts) {
      if (done.state() != Future.State.SUCCESS) {
        throw done.exceptionNow() instanceof EngineException known
            ? known
            : new EngineException(
                EngineException.Kind.FAILED,
                failure + ": " + done.exceptionNow().getMessage(),
                done.exceptionNow());
      }
    }
  }

  private static void closeAll(Collection<QemuMicroVm> machines) {
    try (ExecutorService each = Executors.newVirtualThreadPerTaskExecutor()) {
      machines.forEach(machine -> each.execute(machine::close));
    }
  }

  private QemuMicroVm own(MicroVm microVm) {
    if (microVm instanceof QemuMicroVm machine) {
      return machine;
    }
    throw new IllegalArgumentException("this microVM belongs to another engine");
  }

  private QemuMicroVm launchWaiting(MachineShape shape) throws EngineException {
    QemuMicroVm machine =
        launch(
            MicroVmId.random(),
            shape,
            directory ->
                new QemuArguments(qemu, shape).waiting(foundations.layFor(shape, directory)),
            UnaryOperator.identity());
    try {
      machine.getReady();
      return machine;
    } catch (EngineException e) {
      machine.close();
      throw e;
    }
  }

  /** Makes in a machine's directory what its monitor begins with, and the monitor's arguments. */
  private interface Preparation {
    List<String> in(VmDirectory directory) throws IOException, HostException;
  }

  private QemuMicroVm launch(
      MicroVmId id, MachineShape shape, Preparation preparation, UnaryOperator<Jail> view)
      throws EngineException {
    launching.add(id);
    try {
      return launchAnnounced(id, shape, preparation, view);
    } finally {
      launching.remove(id);
    }
  }

  private QemuMicroVm launchAnnounced(
      MicroVmId id, MachineShape shape, Preparation preparation, UnaryOperator<Jail> view)
      throws EngineException {
    if (closed) {
      throw new EngineException(EngineException.Kind.FAILED, "the engine is closed");
    }
    VmDirectory directory;
    try {
      directory = VmDirectory.create(machines, id);
    } catch (IOException e) {
      throw new EngineException(
          EngineException.Kind.FAILED, "a microVM's directory can't be made in " + machines, e);
    }
    HostResources resources = HostResources.take(directory, id, shape, networks);
    QemuMicroVm machine;
    try {
      List<String> program = preparation.in(directory);
      int user = resources.lease().userId();
      directory.giveWorkTo(user);
      Process process = view.apply(jailFor(directory, resources, shape)).start(program);
      writeJournal(directory, resources, shape, process.pid(), false);
      machine = QemuMicroVm.of(id, shape, directory, resources, Monitor.child(process));
    } catch (HostException | IOException | EngineException e) {
      giveBack(resources, e);
      throw e instanceof EngineException failure
          ? failure
          : new EngineException(
              EngineException.Kind.FAILED, "a microVM can't be prepared: " + e.getMessage(), e);
    }
    track(machine);
    return machine;
  }

  private void track(QemuMicroVm machine) {
    running.put(machine.id(), machine);
    var _ = machine.exit().thenRun(() -> running.remove(machine.id()));
  }

  private static void writeJournal(
      VmDirectory directory,
      HostResources resources,
      MachineShape shape,
      long pid,
      boolean complete)
      throws IOException {
    new Journal(resources.lease().number(), shape, ProcessIdentity.of(pid).orElse(null), complete)
        .writeTo(directory.journal());
  }

  private Jail jailFor(VmDirectory directory, HostResources resources, MachineShape shape) {
    Jail jail =
        Jail.by(programs.jail())
            .listeningOn(directory.controlSocket())
            .listeningOn(directory.agentSocket())
            .listeningOn(directory.memorySocket())
            .inNetwork(resources.network().namespace(), resources.network().tap())
            .limitedBy(resources.group().procsFiles())
            .rootedAt(directory.jailRoot())
            .loggingTo(directory.log())
            .asUser(resources.lease().userId())
            .writingFilesOf(largestFile(shape))
            .showing(directory.layers().directory(), VmDirectory.LAYERS_IN_JAIL.substring(1))
            .showingWritable(directory.work(), VmDirectory.WORK_IN_JAIL.substring(1))
            .showing(programs.layers(), "podflare-layers.so")
            .preloading("/podflare-layers.so")
            // QEMU tries its file locks on it.
            .showingDevice("/dev/null");
    for (Map.Entry<String, Path> shown : qemu.systemPaths().entrySet()) {
      jail = jail.showing(shown.getValue(), shown.getKey());
    }
    return qemu.accelerator().isolation() == Isolation.KVM ? jail.showingDevice("/dev/kvm") : jail;
  }

  /** Memory and disk are files; a disk in qcow2 form is larger than its content by its tables. */
  private static long largestFile(MachineShape shape) {
    long content = (long) Math.max(shape.memoryMiB(), shape.diskMiB()) << 20;
    return content + content / 16 + (64L << 20);
  }

  private static void giveBack(HostResources resources, Exception why) {
    try {
      resources.close();
    } catch (EngineException alsoFailed) {
      why.addSuppressed(alsoFailed);
    }
  }

  @Override
  public List<MicroVm> adopt(Set<MicroVmId> wanted) throws EngineException {
    List<MicroVm> adopted = new ArrayList<>();
    try {
      for (MicroVmId id : wanted) {
        VmDirectory directory = new VmDirectory(machines.resolve(id.value()));
        Journal journal = Journal.read(directory.journal()).orElse(null);
        if (!isOurs(id) && journal != null && journal.complete()) {
          adopt(id, directory, journal).ifPresent(adopted::add);
        }
      }
    } catch (IOException e) {
      throw new EngineException(
          EngineException.Kind.FAILED, "earlier microVMs can't be taken over", e);
    }
    return adopted;
  }

  private Optional<QemuMicroVm> adopt(MicroVmId id, VmDirectory directory, Journal journal) {
    ProcessIdentity process = journal.process();
    Optional<ProcessHandle> handle = process == null ? Optional.empty() : process.handle();
    if (handle.isEmpty()) {
      return Optional.empty();
    }
    try {
      QemuMicroVm machine =
          QemuMicroVm.of(
              id,
              journal.shape(),
              directory,
              HostResources.adopt(directory, journal),
              Monitor.orphan(handle.get()));
      track(machine);
      networks.takeOver(machine.resources().lease());
      machine.takeOver();
      return Optional.of(machine);
    } catch (EngineException | HostException e) {
      LOG.log(System.Logger.Level.WARNING, "microVM " + id + " can't be taken over, and ends", e);
      running.remove(id); // so that the next reap ends it
      return Optional.empty();
    }
  }

  /**
   * Whether this engine made it. In this order, since a machine is first the one, then the other.
   */
  private boolean isOurs(MicroVmId id) {
    return launching.contains(id) || running.containsKey(id);
  }

  @Override
  public List<MicroVmId> reap() throws EngineException {
    List<MicroVmId> reaped = new ArrayList<>();
    try (var directories = Files.newDirectoryStream(machines)) {
      List<VmDirectory> left = new ArrayList<>();
      for (Path path : directories) {
        MicroVmId id = new MicroVmId(path.getFileName().toString());
        if (!isOurs(id)) {
          left.add(new VmDirectory(path));
          reaped.add(id);
        }
      }
      List<HostResources> found = HostResources.recover(left);
      atOnce("what is left can't be given back", found.size(), index -> found.get(index).close());
    } catch (IOException | IllegalArgumentException e) {
      throw new EngineException(
          EngineException.Kind.FAILED, "what earlier microVMs left can't be cleaned up", e);
    }
    return reaped;
  }

  @Override
  public void leave() {
    closed = true;
    waiting.close();
    spare.close();
    networks.close();
    releaseHost();
  }

  @Override
  public void close() {
    closed = true;
    waiting.close();
    closeAll(running.values());
    spare.close();
    networks.close();
    releaseHost();
  }

  /** The rules go with the last sandbox of the host. */
  private static void releaseHost() {
    try {
      SandboxNetwork.releaseHost();
    } catch (HostException e) {
      LOG.log(System.Logger.Level.WARNING, "the host's network rules stay", e);
    }
  }
}
