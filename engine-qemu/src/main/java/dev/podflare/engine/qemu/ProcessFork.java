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
import java.util.Collection;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.stream.IntStream;

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
 *   FORK, n - 1 times ───────────────────────▶ clones (so does 2) ─▶ the same
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
   * @param cutNanos the end of that, by {@link System#nanoTime}
   */
  record Made(List<QemuMicroVm> children, Duration pause, long cutNanos) {}

  /** With fewer children one maker is as quick. */
  private static final int WORTH_TWO_MAKERS = 4;

  private final QemuMicroVm parent;
  private long cutNanos = System.nanoTime();
  private final MachineShape shape;
  private final Qcow2 qcow2;
  private final UserOf users;

  ProcessFork(QemuMicroVm parent, Qcow2 qcow2, UserOf users) {
    this.parent = parent;
    this.shape = parent.shape();
    this.qcow2 = qcow2;
    this.users = users;
  }

  /** What a child has of its own. */
  private record Place(HostResources host, ChildEndpoints endpoints) {
    VmDirectory directory() {
      return host.directory();
    }
  }

  /**
   * @param hosts what each child holds of the host, prepared and without a process. Those of
   *     children that were made are theirs; if this fails, all are the caller's
   */
  Made into(List<HostResources> hosts) throws EngineException {
    try (Rollback rollback = new Rollback()) {
      List<Place> places = new ArrayList<>();
      for (HostResources host : hosts) {
        host.limit(shape);
        parent.directory().layers().shareRestWith(host.directory().layers());
        places.add(new Place(host, rollback.add(host.takeEndpoints())));
      }
      Queue<QemuMicroVm> made = new ConcurrentLinkedQueue<>();
      rollback.add(() -> made.forEach(QemuMicroVm::close));
      Duration pause;
      Siblings siblings = new Siblings(places, made);
      try (ExecutorService beside = Blocking.threads()) {
        pause = cloneParent(places.getFirst());
        siblings.make(beside);
      }
      List<QemuMicroVm> all = Blocking.results(siblings.children());
      rollback.commit();
      return new Made(all, pause, cutNanos);
    } catch (IOException | HostException e) {
      throw HostDisk.failure("microVM " + parent.id() + " can't be forked", e);
    }
  }

  /**
   * The first child, once it is there, and those that are made of it: by itself, and by the second
   * one, since the kernel copies on each processor. A child that makes others is let go when it has
   * done so: they are where it is.
   */
  private final class Siblings {

    private final List<Place> places;
    private final Queue<QemuMicroVm> made;
    private final AtomicReferenceArray<Future<QemuMicroVm>> letGo;
    private final AtomicInteger next = new AtomicInteger(1);

    Siblings(List<Place> places, Queue<QemuMicroVm> made) {
      this.places = places;
      this.made = made;
      this.letGo = new AtomicReferenceArray<>(places.size());
    }

    void make(ExecutorService beside) throws EngineException, IOException {
      MonitorControl.Hello first = hello(places.getFirst());
      if (places.size() < WORTH_TWO_MAKERS) {
        makeBy(0, beside);
      } else {
        MonitorControl.Hello second = make(0, next.getAndIncrement());
        Future<Boolean> secondMakes =
            beside.submit(() -> {
              makeBy(1, beside);
              return true;
            });
        try {
          makeBy(0, beside);
        } finally {
          var _ = Blocking.result(secondMakes);
        }
        letGo(1, second, beside);
      }
      letGo(0, first, beside);
    }

    private void makeBy(int maker, ExecutorService beside) throws EngineException, IOException {
      for (int i = next.getAndIncrement(); i < places.size(); i = next.getAndIncrement()) {
        letGo(i, make(maker, i), beside);
      }
    }

    private MonitorControl.Hello make(int maker, int index) throws EngineException, IOException {
      Place of = places.get(maker);
      Place sibling = places.get(index);
      try (DiskDescriptors disk = diskOfSibling(of.directory(), sibling.directory())) {
        var _ = of.endpoints().control().fork(sibling.endpoints().with(disk));
      }
      return hello(sibling);
    }

    private void letGo(int index, MonitorControl.Hello hello, ExecutorService beside) {
      letGo.set(index, beside.submit(() -> ProcessFork.this.letGo(places.get(index), hello, made)));
    }

    /** In the order of the places; all of them, if nothing has failed. */
    List<Future<QemuMicroVm>> children() {
      return IntStream.range(0, places.size()).mapToObj(letGo::get).toList();
    }
  }

  private static MonitorControl.Hello hello(Place of) throws EngineException {
    of.endpoints().release();
    return of.endpoints().control().hello();
  }

  private Duration cloneParent(Place first) throws EngineException, IOException, HostException {
    Duration pause =
        parent.hasDisk()
            ? cloneInPause(first.directory(), first.endpoints())
            : cloneBlank(first.endpoints());
    cutNanos = System.nanoTime();
    return pause;
  }

  /** Of a machine that runs, or could. */
  private Duration cloneInPause(VmDirectory child, ChildEndpoints endpoints)
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

  /** A child that does not run yet has a disk that is still that of the instant. */
  private DiskDescriptors diskOfSibling(VmDirectory of, VmDirectory sibling) throws IOException {
    if (!parent.hasDisk()) {
      return DiskDescriptors.none();
    }
    int number = parent.diskNumber();
    of.layers().shareRestWith(sibling.layers());
    Files.copy(of.disk(number), sibling.disk(number));
    return DiskDescriptors.of(of.disk(number), sibling.disk(number));
  }

  private QemuMicroVm letGo(Place place, MonitorControl.Hello hello, Collection<QemuMicroVm> made)
      throws EngineException, IOException, HostException {
    HostResources host = place.host();
    ChildEndpoints endpoints = place.endpoints();
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
      made.add(child);
      rollback.commit();
      return child;
    }
  }
}
