package dev.podflare.sandbox;

import dev.podflare.engine.BootRequest;
import dev.podflare.engine.Egress;
import dev.podflare.engine.Engine;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.EngineFacts;
import dev.podflare.engine.Fork;
import dev.podflare.engine.MicroVm;
import dev.podflare.engine.MicroVmId;
import dev.podflare.engine.Prepared;
import dev.podflare.engine.Snapshot;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicInteger;

/** A real engine that tells a test of each clone that it has started. */
final class WatchedEngine implements Engine {

  private final Engine engine;
  private final BlockingQueue<MicroVm> started = new LinkedBlockingQueue<>();

  private final AtomicInteger startsLeft = new AtomicInteger(Integer.MAX_VALUE);

  WatchedEngine(Engine engine) {
    this.engine = engine;
  }

  /** From now on, so many starts succeed, and later ones find no room. */
  void failAfter(int starts) {
    startsLeft.set(starts);
  }

  void failNever() {
    startsLeft.set(Integer.MAX_VALUE);
  }

  /** The clones in the order in which they were started, less those taken from here. */
  BlockingQueue<MicroVm> started() {
    return started;
  }

  @Override
  public EngineFacts facts() {
    return engine.facts();
  }

  @Override
  public Prepared prepared() {
    return engine.prepared();
  }

  @Override
  public MicroVm boot(BootRequest request) throws EngineException {
    return engine.boot(request);
  }

  @Override
  public Snapshot freeze(MicroVm microVm, Path directory) throws EngineException {
    return engine.freeze(microVm, directory);
  }

  @Override
  public Snapshot open(Path directory) throws EngineException {
    return engine.open(directory);
  }

  @Override
  public Fork fork(MicroVm parent, Egress egress, int count) throws EngineException {
    take(count);
    Fork fork = engine.fork(parent, egress, count);
    started.addAll(fork.children());
    return fork;
  }

  @Override
  public void settle(MicroVm zygote) throws EngineException {
    engine.settle(zygote);
  }

  @Override
  public MicroVm startZygote(Snapshot snapshot, boolean waitedFor) throws EngineException {
    return engine.startZygote(snapshot, waitedFor);
  }

  @Override
  public List<MicroVm> adopt(Set<MicroVmId> wanted) throws EngineException {
    return engine.adopt(wanted);
  }

  @Override
  public MicroVm start(Snapshot snapshot, Egress egress) throws EngineException {
    take(1);
    MicroVm microVm = engine.start(snapshot, egress);
    started.add(microVm);
    return microVm;
  }

  private void take(int count) throws EngineException {
    if (startsLeft.addAndGet(-count) < 0) {
      throw new EngineException(EngineException.Kind.NO_ROOM, "the test has taken all room");
    }
  }

  @Override
  public List<MicroVmId> reap() throws EngineException {
    return engine.reap();
  }

  @Override
  public void leave() {
    engine.leave();
  }

  @Override
  public void close() {
    engine.close();
  }
}
