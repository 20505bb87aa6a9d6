package dev.podflare.sandbox;

import dev.podflare.engine.Egress;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.Exit;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.MicroVm;
import dev.podflare.engine.MicroVmId;
import dev.podflare.engine.Usage;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;

/** A microVM of which only its life matters. */
final class ScriptedMicroVm implements MicroVm {

  private final MicroVmId id = MicroVmId.random();
  private final CompletableFuture<Exit> exit = new CompletableFuture<>();

  @Override
  public MicroVmId id() {
    return id;
  }

  @Override
  public MachineShape shape() {
    return new MachineShape(1, 1024, 4096);
  }

  @Override
  public SocketChannel attach() throws EngineException {
    throw new EngineException(EngineException.Kind.FAILED, "it has no guest");
  }

  @Override
  public void pause() {}

  @Override
  public void resume() {}

  @Override
  public void allow(Egress egress) {}

  @Override
  public Usage usage() {
    return new Usage(1, Duration.ZERO, 1);
  }

  @Override
  public CompletableFuture<Exit> exit() {
    return exit;
  }

  @Override
  public void close() {
    exit.complete(new Exit(Exit.Cause.STOPPED, "the test closed it"));
  }
}
