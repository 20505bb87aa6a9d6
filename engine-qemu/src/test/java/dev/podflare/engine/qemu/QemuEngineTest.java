package dev.podflare.engine.qemu;

import dev.podflare.engine.Engine;
import dev.podflare.engine.EngineContract;
import dev.podflare.engine.MicroVmId;
import java.nio.file.Path;

/** The engine contract, kept by QEMU. */
class QemuEngineTest extends EngineContract {

  private Path machines = Path.of("");

  @Override
  protected Engine openEngine(Path directory) throws Exception {
    machines = directory.resolve("vm");
    return QemuEngine.in(directory);
  }

  @Override
  protected void crash(Engine engine, MicroVmId id) throws Exception {
    Journal journal =
        Journal.read(new VmDirectory(machines.resolve(id.value())).journal()).orElseThrow();
    journal.process().handle().orElseThrow().destroyForcibly();
  }
}
