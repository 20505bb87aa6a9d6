package dev.podflare.engine.qemu;

import java.time.Duration;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;

/**
 * A machine monitor's process: a child of this server, or one of a server that died.
 *
 * @param ended completes, never exceptionally, when the process has ended; with its exit code where
 *     that is told, which is to its parent only
 */
record Monitor(ProcessHandle handle, CompletableFuture<OptionalInt> ended) {

  static Monitor child(Process process) {
    return new Monitor(
        process.toHandle(), process.onExit().thenApply(done -> OptionalInt.of(done.exitValue())));
  }

  static Monitor orphan(ProcessHandle handle) {
    return new Monitor(handle, handle.onExit().thenApply(_ -> OptionalInt.empty()));
  }

  long pid() {
    return handle.pid();
  }

  boolean isAlive() {
    return handle.isAlive();
  }

  Duration cpuTime() {
    return handle.info().totalCpuDuration().orElse(Duration.ZERO);
  }

  void kill() {
    boolean _ = handle.destroyForcibly();
  }
}
