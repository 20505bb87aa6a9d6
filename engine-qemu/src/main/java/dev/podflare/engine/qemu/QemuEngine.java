package dev.podflare.engine.qemu;

import dev.podflare.engine.BootImage;
import dev.podflare.engine.BootRequest;
import dev.podflare.engine.Egress;
import dev.podflare.engine.Engine;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.EngineFacts;
import dev.podflare.engine.Fork;
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
import dev.podflare.host.Rollback;
import dev.podflare.host.SandboxNetwork;
import dev.podflare.host.UserRange;
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
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * The engine on QEMU: hardware virtualization where the host has it, emulation elsewhere.
 *
 * <p><b>Every machine but one that boots is a fork(2)</b> of another monitor ({@link ProcessFork}):
 * of a {@linkplain BlankMonitors blank one} if it is started from a snapshot ({@link Restore}), of
 * a zygote or of another machine if it is a live copy. So it has its parent's memory, translated
 * code and device state from the first instant, shared by the kernel until written.
 *
 * <p><b>A snapshot</b> is a base image of memory with layers over it ({@link MemoryMap}), layers of
 * the disk, and device state without memory (QEMU's {@code xen-save-devices-state}, meant for
 * hypervisors that keep memory themselves, which is the case here). All that is immutable is shared
 * by hard links ({@link LayerFiles}).
 *
 * <p><b>Each machine</b> is one process with a directory, a network namespace and a control group
 * of its own ({@link HostResources}), some of which are {@linkplain Standby ready} ahead of time,
 * and a user that only its family has ({@link Users}). Blank monitors and those that boot are
 * started in a {@link Jail}; their children are in it too. All of it is in a journal before it is
 * taken, so what a killed server leaves is found by {@link #reap()}.
 */
public final class QemuEngine implements Engine {

  private static final System.Logger LOG = System.getLogger(QemuEngine.class.getName());

  /**
   * Changes whenever the machine in {@link QemuArguments} does, as old snapshots don't fit then.
   */
  private static final int MACHINE_REVISION = 6;

  /**
   * A Unix socket's path has room for 107 bytes: unix(7). What we add to the directory needs 40.
   */
  private static final int LONGEST_DIRECTORY = 107 - 40;

  /** As many machines as are often made at once: a fork or two. */
  private static final int READY_HOSTS = 24;

  /** More networks at once would only make all of them late. */
  private static final int MOST_AT_ONCE = 8;

  /** Clock ticks in a second, as proc_pid_stat(5) counts them: USER_HZ. */
  private static final double TICKS = 100;

  private final Qemu qemu;
  private final NativePrograms programs;
  private final Path machines;
  private final EngineFacts facts;
  private final NetworkUpkeep networks;
  private final Map<MicroVmId, QemuMicroVm> running = new ConcurrentHashMap<>();

  /** Those that have a directory, or are about to, and do not run yet. */
  private final Set<MicroVmId> launching = ConcurrentHashMap.newKeySet();

  private final VerifiedFiles verified = new VerifiedFiles();
  private final Users users;
  private final Qcow2 qcow2;
  private final Standby<HostResources> hosts;
  private final BlankMonitors blanks = new BlankMonitors(this::launchBlank);
  private final long openedTicks;
  private volatile boolean closed;

  private QemuEngine(
      Qemu qemu,
      NativePrograms programs,
      Path machines,
      EngineFacts facts,
      NetworkUpkeep networks,
      Users users,
      long openedTicks) {
    this.networks = networks;
    this.qemu = qemu;
    this.programs = programs;
    this.machines = machines;
    this.facts = facts;
    this.users = users;
    this.openedTicks = openedTicks;
    this.qcow2 = new Qcow2(machines.resolveSibling("qcow2"));
    this.hosts = new Standby<>("ready-hosts", READY_HOSTS, this::prepareHost);
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
      return new QemuEngine(
          qemu,
          programs,
          machines,
          facts(qemu),
          NetworkUpkeep.start(),
          Users.of(machines),
          ticksSinceBoot());
    } catch (HostException | IOException e) {
      throw new EngineException(
          EngineException.Kind.FAILED, "the QEMU engine can't start: " + e.getMessage(), e);
    }
  }

  private static long ticksSinceBoot() throws IOException {
    String uptime = Files.readString(Path.of("/proc/uptime"));
    return (long) (Double.parseDouble(uptime.substring(0, uptime.indexOf(' '))) * TICKS);
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
    return hosts.prepared();
  }

  @Override
  public MicroVm boot(BootRequest request) throws EngineException {
    BootImage image = request.image();
    return launch(
        new VmDirectory(machines.resolve(request.id().value())),
        request.shape(),
        directory -> {
          prepareBootFiles(directory, request);
          return new QemuArguments(qemu, request.shape()).boot(image);
        },
        (jail, directory) ->
            jail.showing(image.kernel(), inJail(QemuArguments.KERNEL))
                .showing(image.initramfs(), inJail(QemuArguments.INITRAMFS))
                .showing(image.rootfs(), inJail(QemuArguments.ROOTFS))
                .showingWritable(directory.bootMemory(), inJail(QemuArguments.BOOT_MEMORY))
                .showingWritable(directory.bootDisk(), inJail(QemuArguments.BOOT_DISK)));
  }

  /** The jail takes paths from its own root on. */
  private static String inJail(String path) {
    return path.substring(1);
  }

  private static void prepareBootFiles(VmDirectory directory, BootRequest request)
      throws IOException, HostException {
    MachineShape shape = request.shape();
    directory.layers().takeRootfs(request.image().rootfs());
    createSparse(directory.bootMemory(), shape.memoryMiB());
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
  public Snapshot freeze(MicroVm microVm, Path directory) throws EngineException {
    QemuMicroVm machine = own(microVm);
    SnapshotFiles files = new SnapshotFiles(directory);
    boolean frozen = false;
    try {
      if (machine.hasDisk()) {
        machine.checkpoint(files, qcow2.empty(machine.shape()));
      } else {
        machine.pause();
        Checkpoint.saveState(machine, files.deviceState());
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

  /** The files of a machine that was booted become the base of all that is started from it. */
  private void takeBooted(QemuMicroVm machine, SnapshotFiles files)
      throws IOException, HostException {
    VmDirectory from = machine.directory();
    LayerFiles layers = files.layers();
    // The paused process writes no more: its files can be taken from under it.
    Files.move(from.bootMemory(), layers.memory(0));
    Files.move(from.bootDisk(), layers.disk(0));
    Files.createLink(layers.rootfs(), from.layers().rootfs());
    layers.write(layers.mapOfBase());
    Files.copy(qcow2.empty(machine.shape()), files.overlay());
    for (Path file :
        List.of(layers.memory(0), layers.disk(0), layers.memoryMap(), files.overlay())) {
      LayerFiles.seal(file);
    }
  }

  @Override
  public Snapshot open(Path directory) throws EngineException {
    return new SnapshotFiles(directory).open(facts.fingerprint(), verified);
  }

  @Override
  public MicroVm start(Snapshot snapshot, Egress egress) throws EngineException {
    return start(
        snapshot,
        egress,
        () -> {
          Users.Held user = users.take();
          return new UserOf.Choice(user, new MonitorControl.User.Own(user.id()));
        });
  }

  @Override
  public MicroVm startZygote(Snapshot snapshot, boolean waitedFor) throws EngineException {
    QemuMicroVm zygote = startZygote(snapshot);
    if (!waitedFor) {
      zygote.goLast();
    }
    return zygote;
  }

  private QemuMicroVm startZygote(Snapshot snapshot) throws EngineException {
    return start(
        snapshot,
        new Egress.Nothing(),
        () -> {
          Users.Held user = users.take();
          UserRange range = users.range();
          return new UserOf.Choice(
              user, new MonitorControl.User.OwnAndRange(user.id(), range.first(), range.count()));
        });
  }

  @Override
  public void settle(MicroVm zygote) throws EngineException {
    own(zygote).settle();
  }

  private QemuMicroVm start(Snapshot snapshot, Egress egress, UserOf userOf)
      throws EngineException {
    SnapshotFiles files = new SnapshotFiles(snapshot.directory());
    QemuMicroVm blank = blanks.of(snapshot.shape());
    Fork fork =
        fork(
            blank,
            egress,
            1,
            userOf,
            machine -> {
              machine.restore(files);
              machine
                  .host()
                  .journal(
                      machine.user().id(), machine.shape(), machine.monitor().identity(), true);
            });
    return own(fork.children().getFirst());
  }

  @Override
  public Fork fork(MicroVm microVm, Egress egress, int count) throws EngineException {
    QemuMicroVm parent = own(microVm);
    return fork(
        parent,
        egress,
        count,
        () -> {
          if (parent.isZygote()) {
            Users.Held user = users.take();
            return new UserOf.Choice(user, new MonitorControl.User.Own(user.id()));
          }
          return new UserOf.Choice(parent.user().again(), new MonitorControl.User.Same());
        },
        nothingToDo -> {});
  }

  /** What is still to be done with a child before it runs. */
  private interface Rest {
    void of(QemuMicroVm child) throws EngineException, IOException;
  }

  private Fork fork(QemuMicroVm parent, Egress egress, int count, UserOf userOf, Rest rest)
      throws EngineException {
    List<HostResources> taken = new CopyOnWriteArrayList<>();
    List<QemuMicroVm> children = new CopyOnWriteArrayList<>();
    boolean running = false;
    try {
      Thread.ofPlatform().daemon().name("cgroup").start(ControlGroup::expectMoves);
      takeHosts(count, egress, taken);
      ProcessFork.Made made =
          Blocking.call(() -> new ProcessFork(parent, qcow2, userOf).into(taken));
      children.addAll(made.children());
      for (QemuMicroVm child : made.children()) {
        track(child);
        rest.of(child);
      }
      AtomicLongArray since = new AtomicLongArray(count);
      atOnce(
          "a copy can't be let run",
          count,
          index -> {
            made.children().get(index).resume();
            since.set(index, System.nanoTime());
          });
      running = true;
      return new Fork(
          List.copyOf(made.children()),
          made.pause(),
          made.cutNanos(),
          IntStream.range(0, count).mapToObj(since::get).toList());
    } catch (EngineException e) {
      throw HostDisk.explained(e, machines);
    } catch (IOException e) {
      throw HostDisk.explained(HostDisk.failure("a microVM can't be started", e), machines);
    } finally {
      if (!running) {
        closeAll(children);
        taken.forEach(QemuEngine::giveBack);
      }
      taken.forEach(host -> launching.remove(host.id()));
    }
  }

  private void takeHosts(int count, Egress egress, List<HostResources> taken)
      throws EngineException {
    atOnce(
        "what a microVM needs of the host can't be set up",
        count,
        _ -> {
          HostResources host = hosts.take();
          taken.add(host);
          if (egress instanceof Egress.Nothing) {
            host.allow(egress);
          }
        });
  }

  private HostResources prepareHost() throws EngineException {
    MicroVmId id = MicroVmId.random();
    launching.add(id);
    HostResources host = prepareHost(new VmDirectory(machines.resolve(id.value())));
    try {
      host.makeEndpoints();
      return host;
    } catch (IOException e) {
      giveBack(host);
      throw HostDisk.failure("the channels of a microVM can't be made", e);
    }
  }

  private HostResources prepareHost(VmDirectory directory) throws EngineException {
    boolean prepared = false;
    try {
      if (closed) {
        throw new EngineException(EngineException.Kind.FAILED, "the engine is closed");
      }
      directory.create();
      HostResources host = HostResources.prepare(directory, networks);
      prepared = true;
      return host;
    } catch (IOException e) {
      throw new EngineException(
          EngineException.Kind.FAILED, "a microVM's directory can't be made in " + machines, e);
    } finally {
      if (!prepared) {
        launching.remove(new MicroVmId(directory.path().getFileName().toString()));
      }
    }
  }

  private interface Part {
    void run(int index) throws EngineException, IOException, HostException;
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

  private QemuMicroVm launchBlank(MachineShape shape) throws EngineException {
    QemuMicroVm blank =
        launch(
            new VmDirectory(machines.resolve(MicroVmId.random().value())),
            shape,
            _ -> new QemuArguments(qemu, shape).blank(),
            (jail, _) -> jail.changingUserWithin(users.range().first(), users.range().count()));
    try {
      blank.learn();
      return blank;
    } catch (EngineException e) {
      blank.close();
      throw e;
    }
  }

  /** Makes in a machine's directory what its monitor begins with, and the monitor's arguments. */
  private interface Preparation {
    List<String> in(VmDirectory directory) throws IOException, HostException;
  }

  /** What a jail has beyond what all have. */
  private interface View {
    Jail of(Jail jail, VmDirectory directory);
  }

  private QemuMicroVm launch(
      VmDirectory directory, MachineShape shape, Preparation preparation, View view)
      throws EngineException {
    MicroVmId id = new MicroVmId(directory.path().getFileName().toString());
    launching.add(id);
    HostResources host = prepareHost(directory);
    try (Rollback rollback = new Rollback()) {
      rollback.add(host);
      Users.Held user = rollback.add(users.take());
      host.limit(shape);
      List<String> program = preparation.in(directory);
      for (Path file : List.of(directory.bootMemory(), directory.bootDisk())) {
        if (Files.exists(file)) {
          VmDirectory.giveToMonitor(file, user.id());
        }
      }
      Process process = view.of(jailFor(host, user.id(), shape), directory).start(program);
      Monitor monitor = Monitor.started(process);
      host.journal(user.id(), shape, monitor.identity(), false);
      QemuMicroVm machine = QemuMicroVm.connected(shape, host, user, monitor);
      track(machine);
      rollback.commit();
      return machine;
    } catch (HostException | IOException e) {
      throw new EngineException(
          EngineException.Kind.FAILED, "a microVM can't be prepared: " + e.getMessage(), e);
    } finally {
      launching.remove(id);
    }
  }

  private void track(QemuMicroVm machine) {
    running.put(machine.id(), machine);
    var _ = machine.exit().thenRun(() -> running.remove(machine.id()));
  }

  private Jail jailFor(HostResources host, int user, MachineShape shape) {
    VmDirectory directory = host.directory();
    Jail jail =
        Jail.by(programs.jail())
            .listeningOn(directory.controlSocket())
            .listeningOn(directory.agentSocket())
            .listeningForPackets(directory.forkSocket())
            .inNetwork(host.network().namespace(), host.network().tap())
            .limitedBy(host.group().procsFiles())
            .rootedAt(directory.jailRoot())
            .loggingTo(directory.log())
            .asUser(user)
            .writingFilesOf(largestFile(shape))
            .showing(programs.fork(), "podflare-fork.so")
            .preloading("/podflare-fork.so")
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

  private static void giveBack(HostResources host) {
    try {
      host.close();
    } catch (EngineException e) {
      LOG.log(System.Logger.Level.ERROR, "microVM " + host.id() + " left something behind", e);
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
    Integer user = journal.user();
    MachineShape shape = journal.shape();
    if (process == null || user == null || shape == null || !process.isAlive()) {
      return Optional.empty();
    }
    try {
      QemuMicroVm machine =
          QemuMicroVm.connected(
              shape,
              HostResources.adopt(directory, journal),
              users.hold(user),
              Monitor.orphan(process));
      track(machine);
      networks.takeOver(machine.host().lease());
      machine.takeOver();
      return Optional.of(machine);
    } catch (EngineException | HostException | IOException e) {
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
        VmDirectory directory = new VmDirectory(path);
        if (!isOurs(id)) {
          left.add(directory);
          // What was only prepared was no microVM yet.
          if (Journal.read(directory.journal()).map(Journal::process).isPresent()) {
            reaped.add(id);
          }
        }
      }
      List<HostResources> found = HostResources.recover(left, strays());
      atOnce("what is left can't be given back", found.size(), index -> found.get(index).close());
    } catch (IOException | IllegalArgumentException e) {
      throw new EngineException(
          EngineException.Kind.FAILED, "what earlier microVMs left can't be cleaned up", e);
    }
    return reaped;
  }

  /** Children of a fork that was under way when the server before this one died. */
  private List<ProcessHandle> strays() {
    return users.processes(
        openedTicks,
        running.values().stream().map(QemuMicroVm::pid).collect(Collectors.toUnmodifiableSet()));
  }

  @Override
  public void leave() {
    closed = true;
    hosts.close();
    blanks.close();
    closeAll(running.values().stream().filter(QemuMicroVm::isZygote).toList());
    networks.close();
    releaseHost();
  }

  @Override
  public void close() {
    closed = true;
    hosts.close();
    blanks.close();
    closeAll(running.values());
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
