package dev.podflare.engine.qemu;

import dev.podflare.engine.Egress;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.MicroVmId;
import dev.podflare.host.ControlGroup;
import dev.podflare.host.HostException;
import dev.podflare.host.Lease;
import dev.podflare.host.NetworkUpkeep;
import dev.podflare.host.ProcessIdentity;
import dev.podflare.host.SandboxNetwork;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Everything of the host that one microVM holds beside its process: directory, lease, network,
 * control group. Prepared in that order, each after the journal says so, before it is known what
 * machine they are for; given back in the reverse order.
 *
 * <p>After a crash of the server, {@link #recover} finds the same from the journal, and {@link
 * #close} gives it back.
 */
final class HostResources implements AutoCloseable {

  /** QEMU's own needs beside the guest's memory: code, translation cache, device buffers. */
  private static final long OVERHEAD_BYTES = 512L << 20;

  /** QEMU's threads: processors, I/O workers (64 at most), the main loop. */
  private static final int MOST_TASKS = 128;

  private final VmDirectory directory;
  private final @Nullable Lease lease;
  private final @Nullable SandboxNetwork network;
  private final @Nullable ControlGroup group;

  /** Until it has a machine. For one thread at a time. */
  private @Nullable ChildEndpoints endpoints;

  private HostResources(
      VmDirectory directory,
      @Nullable Lease lease,
      @Nullable SandboxNetwork network,
      @Nullable ControlGroup group) {
    this.directory = directory;
    this.lease = lease;
    this.network = network;
    this.group = group;
  }

  static HostResources prepare(VmDirectory directory, NetworkUpkeep networks)
      throws EngineException {
    Lease lease = null;
    SandboxNetwork network = null;
    try {
      lease = Lease.take(directory.path());
      new Journal(lease.number(), null, null, null, false).writeTo(directory.journal());
      network = networks.open(lease);
      ControlGroup group = ControlGroup.create(directory.path().getFileName().toString());
      return new HostResources(directory, lease, network, group);
    } catch (HostException | IOException e) {
      HostResources taken =
          new HostResources(
              directory, lease, lease == null ? null : SandboxNetwork.existing(lease), null);
      try {
        taken.close();
      } catch (EngineException alsoFailed) {
        e.addSuppressed(alsoFailed);
      }
      throw new EngineException(
          EngineException.Kind.FAILED,
          "the host's part of a microVM can't be set up: " + e.getMessage(),
          e);
    }
  }

  /** Makes the ends of its channels, for a machine that will be a fork of another one. */
  void makeEndpoints() throws IOException {
    endpoints = ChildEndpoints.make(this);
  }

  /** Those ends, from now on the caller's. */
  ChildEndpoints takeEndpoints() throws IOException {
    ChildEndpoints taken = endpoints == null ? ChildEndpoints.make(this) : endpoints;
    endpoints = null;
    return taken;
  }

  /** Sets what a machine of this shape may use. */
  void limit(MachineShape shape) throws HostException {
    group().limit(((long) shape.memoryMiB() << 20) + OVERHEAD_BYTES, MOST_TASKS + shape.cpus());
  }

  /** Sets what the guest's network interface reaches. */
  void allow(Egress egress) throws HostException {
    switch (egress) {
      case Egress.Outside() -> network().allowOutside();
      case Egress.Nothing() -> network().allowNothing();
    }
  }

  /**
   * Writes down whose process it is that uses all this.
   *
   * @param complete whether it is what it shall be
   */
  void journal(int user, MachineShape shape, ProcessIdentity process, boolean complete)
      throws IOException {
    new Journal(lease().number(), user, shape, process, complete).writeTo(directory.journal());
  }

  VmDirectory directory() {
    return directory;
  }

  MicroVmId id() {
    return new MicroVmId(directory.path().getFileName().toString());
  }

  /** What a microVM that outlived its server holds. */
  static HostResources adopt(VmDirectory directory, Journal journal) {
    Lease lease = new Lease(journal.lease());
    return new HostResources(
        directory,
        lease,
        SandboxNetwork.existing(lease),
        ControlGroup.existing(directory.path().getFileName().toString()));
  }

  /**
   * What microVMs of a dead server hold, and ends those of their processes that still run.
   *
   * <p>All are killed before the first is waited for: the JDK looks after a process that is not its
   * child every third of a second.
   *
   * @param strays processes of this server's users that no machine names: children of a monitor
   *     that was forked when the server died
   */
  static List<HostResources> recover(List<VmDirectory> directories, List<ProcessHandle> strays)
      throws EngineException {
    List<HostResources> recovered = new ArrayList<>();
    List<ProcessHandle> killed = new ArrayList<>(strays);
    for (VmDirectory directory : directories) {
      try {
        Journal journal = Journal.read(directory.journal()).orElse(null);
        if (journal == null) {
          recovered.add(new HostResources(directory, null, null, null));
          continue;
        }
        recovered.add(adopt(directory, journal));
        ProcessIdentity process = journal.process();
        if (process != null) {
          process.handle().ifPresent(killed::add);
        }
      } catch (IOException | IllegalArgumentException e) {
        throw new EngineException(
            EngineException.Kind.FAILED,
            "the journal in " + directory.path() + " can't be used",
            e);
      }
    }
    killed.forEach(ProcessHandle::destroyForcibly);
    awaitEndOf(killed);
    return recovered;
  }

  private static void awaitEndOf(List<ProcessHandle> killed) throws EngineException {
    for (ProcessHandle process : killed) {
      try {
        process.onExit().get(10, TimeUnit.SECONDS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new EngineException(
            EngineException.Kind.FAILED,
            "interrupted while process " + process.pid() + " ended",
            e);
      } catch (java.util.concurrent.ExecutionException | java.util.concurrent.TimeoutException e) {
        throw new EngineException(
            EngineException.Kind.FAILED, "process " + process.pid() + " does not end", e);
      }
    }
  }

  Lease lease() {
    return held(lease);
  }

  SandboxNetwork network() {
    return held(network);
  }

  ControlGroup group() {
    return held(group);
  }

  private static <T> T held(@Nullable T resource) {
    if (resource == null) {
      throw new IllegalStateException("these resources were not taken completely");
    }
    return resource;
  }

  /** Gives everything back. The process must have ended. Tries all, and then says what failed. */
  @Override
  public void close() throws EngineException {
    List<Exception> failures = new ArrayList<>();
    if (endpoints != null) {
      attempt(endpoints::close, failures);
    }
    if (network != null) {
      attempt(network::close, failures);
    }
    if (group != null) {
      attempt(() -> removeOnceEmpty(group), failures);
    }
    if (failures.isEmpty()) {
      attempt(directory::delete, failures);
      if (lease != null) {
        attempt(() -> lease.release(directory.path()), failures);
      }
    }
    if (!failures.isEmpty()) {
      EngineException failure =
          new EngineException(
              EngineException.Kind.FAILED,
              "something of microVM "
                  + directory.path().getFileName()
                  + " stays on the host: "
                  + failures.getFirst().getMessage(),
              failures.getFirst());
      failures.stream().skip(1).forEach(failure::addSuppressed);
      throw failure;
    }
  }

  /** The kernel takes a process out of its group a moment after its parent learns of its end. */
  private static void removeOnceEmpty(ControlGroup group) throws HostException {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(15);
    while (true) {
      try {
        group.close();
        return;
      } catch (HostException busy) {
        if (System.nanoTime() > deadline) {
          throw busy;
        }
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(2));
      }
    }
  }

  private interface Step {
    void run() throws HostException, IOException;
  }

  private static void attempt(Step step, List<Exception> failures) {
    try {
      step.run();
    } catch (HostException | IOException e) {
      failures.add(e);
    }
  }
}
