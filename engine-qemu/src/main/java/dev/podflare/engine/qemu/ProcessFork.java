package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import dev.podflare.engine.MachineShape;
import dev.podflare.host.HostException;
import dev.podflare.host.Rollback;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * Makes live copies of a machine by forking its monitor, threads and all: {@code
 * src/main/c/fork/fork.h} has the other half.
 *
 * <pre>
 *   server              parent                 child 1              children 2..n
 *   sockets, tap, disk
 *   stop ──────────────▶ drains its disks
 *   copies the disk
 *   FORK ──────────────▶ stops its threads,
 *                        clones ─────────────▶ takes its own
 *   cont ──────────────▶ runs                  descriptors
 *                        (end of the pause)
 *   FORK, n - 1 times ───────────────────────▶ clones ─────────────▶ the same
 *   moves each into its control group, writes its journal
 *   GO ──────────────────────────────────────▶ takes its user, makes its threads again
 *   cont ────────────────────────────────────▶ runs
 * </pre>
 *
 * <p>Until GO a child has one thread, which ends when the server does. So whatever dies in between,
 * nothing is left that a journal does not name: a child whose journal is written and that was let
 * go is a machine, and one that was not is gone.
 *
 * <p>Used once, by one thread, which may be blocked in system calls: no virtual one.
 */
final class ProcessFork {

  /**
   * @param children do not run yet; they are the caller's to close
   * @param pause how long the parent stood still
   */
  record Made(List<QemuMicroVm> children, Duration pause) {}

  private final QemuMicroVm parent;
  private final MachineShape shape;
  private final Qcow2 qcow2;
  private final UserOf users;

  ProcessFork(QemuMicroVm parent, Qcow2 qcow2, UserOf users) {
    this.parent = parent;
    this.shape = parent.shape();
    this.qcow2 = qcow2;
    this.users = users;
  }

  /**
   * @param hosts what each child holds of the host, prepared and without a process. Those of
   *     children that were made are theirs; if this fails, all are the caller's
   */
  Made into(List<HostResources> hosts) throws EngineException {
    try (Rollback rollback = new Rollback()) {
      List<ChildEndpoints> endpoints = new ArrayList<>();
      for (HostResources host : hosts) {
        host.limit(shape);
        parent.directory().layers().shareRestWith(host.directory().layers());
        endpoints.add(rollback.add(ChildEndpoints.make(host)));
      }
      List<MonitorControl.Hello> hellos = new ArrayList<>();
      Duration pause = cloneAll(hosts, endpoints, hellos);
      List<QemuMicroVm> children = new ArrayList<>();
      for (int i = 0; i < hosts.size(); i++) {
        children.add(rollback.add(letGo(hosts.get(i), endpoints.get(i), hellos.get(i))));
      }
      rollback.commit();
      return new Made(List.copyOf(children), pause);
    } catch (IOException | HostException e) {
      throw HostDisk.failure("microVM " + parent.id() + " can't be forked", e);
    }
  }

  private Duration cloneAll(
      List<HostResources> hosts, List<ChildEndpoints> endpoints, List<MonitorControl.Hello> hellos)
      throws EngineException, IOException, HostException {
    Duration pause =
        parent.hasDisk()
            ? cloneFirst(hosts.getFirst().directory(), endpoints.getFirst())
            : cloneBlank(endpoints.getFirst());
    endpoints.getFirst().release();
    hellos.add(endpoints.getFirst().control().hello());
    for (int i = 1; i < hosts.size(); i++) {
      try (DiskDescriptors disk =
          diskOfSibling(hosts.getFirst().directory(), hosts.get(i).directory())) {
        var _ = endpoints.getFirst().control().fork(endpoints.get(i).with(disk));
      }
      endpoints.get(i).release();
      hellos.add(endpoints.get(i).control().hello());
    }
    return pause;
  }

  /** Of a machine that runs, or could. */
  private Duration cloneFirst(VmDirectory child, ChildEndpoints endpoints)
      throws EngineException, IOException, HostException {
    return parent.whilePaused(
        qcow2.empty(shape),
        disk -> {
          Path own = child.disk(disk.number());
          disk.copyTo(own, child.layers());
          try (DiskDescriptors descriptors = DiskDescriptors.of(disk.file(), own)) {
            var _ = parent.control().fork(endpoints.with(descriptors));
          }
        });
  }

  private Duration cloneBlank(ChildEndpoints endpoints) throws EngineException, IOException {
    try (DiskDescriptors none = DiskDescriptors.none()) {
      var _ = parent.control().fork(endpoints.with(none));
    }
    return Duration.ZERO;
  }

  /** The first child does not run yet, so its disk is still that of the instant. */
  private DiskDescriptors diskOfSibling(VmDirectory first, VmDirectory sibling) throws IOException {
    if (!parent.hasDisk()) {
      return DiskDescriptors.none();
    }
    int number = parent.diskNumber();
    first.layers().shareRestWith(sibling.layers());
    Files.copy(first.disk(number), sibling.disk(number));
    return DiskDescriptors.of(first.disk(number), sibling.disk(number));
  }

  private QemuMicroVm letGo(
      HostResources host, ChildEndpoints endpoints, MonitorControl.Hello hello)
      throws EngineException, IOException, HostException {
    host.group().add(hello.pid());
    UserOf.Choice choice = users.choose();
    try (Rollback rollback = new Rollback()) {
      rollback.add(choice.user());
      Monitor monitor = Monitor.forked(hello.pid());
      rollback.add(monitor::kill);
      host.journal(choice.user().id(), shape, monitor.identity(), parent.hasDisk());
      endpoints.control().go(choice.change());
      QemuMicroVm child =
          QemuMicroVm.forked(parent, host, choice, monitor, endpoints, hello.agentConnected());
      rollback.commit();
      return child;
    }
  }
}
