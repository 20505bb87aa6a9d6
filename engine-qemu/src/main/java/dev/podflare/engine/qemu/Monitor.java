package dev.podflare.engine.qemu;

import dev.podflare.host.ProcessIdentity;
import dev.podflare.host.WatchedProcess;
import java.io.IOException;
import java.time.Duration;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;

/**
 * A machine monitor's process: one that this server started, a fork of another monitor, or one of a
 * server that died.
 *
 * @param ended completes, never exceptionally, when the process has ended; with its exit code where
 *     that is told, which is to its parent only
 */
record Monitor(WatchedProcess process, CompletableFuture<OptionalInt> ended) {

  private static final System.Logger LOG = System.getLogger(Monitor.class.getName());

  /** One that this server started, and waits for as for any other program. */
  static Monitor started(Process process) throws IOException {
    return new Monitor(
        WatchedProcess.other(process.pid()),
        process.onExit().thenApply(done -> OptionalInt.of(done.exitValue())));
  }

  /**
   * A fork of a monitor. It is a child of its parent's parent: of this server, which nobody else
   * here would wait for, or of the system's first process if an earlier server started the family.
   */
  static Monitor forked(long pid) throws IOException {
    boolean ours =
        ProcessHandle.of(pid)
            .flatMap(ProcessHandle::parent)
            .filter(ProcessHandle.current()::equals)
            .isPresent();
    WatchedProcess process = ours ? WatchedProcess.child(pid) : WatchedProcess.other(pid);
    return new Monitor(process, process.ended());
  }

  /** One of a server that died. */
  static Monitor orphan(ProcessIdentity identity) throws IOException {
    WatchedProcess process = WatchedProcess.other(identity);
    return new Monitor(process, process.ended());
  }

  ProcessIdentity identity() {
    return process.identity();
  }

  long pid() {
    return process.identity().pid();
  }

  boolean isAlive() {
    try {
      return process.isAlive();
    } catch (IOException e) {
      LOG.log(System.Logger.Level.DEBUG, "it is not known whether a monitor lives", e);
      return false;
    }
  }

  Duration cpuTime() throws IOException {
    return process.cpuTime();
  }

  void kill() {
    try {
      process.kill();
    } catch (IOException e) {
      LOG.log(System.Logger.Level.ERROR, "monitor " + pid() + " can't be killed", e);
    }
  }
}
