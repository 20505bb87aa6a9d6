package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/**
 * Runs what is blocked in system calls on a thread of the host's own. A virtual thread would keep
 * its carrier meanwhile, of which there are as many as processors.
 */
final class Blocking {

  private Blocking() {}

  /** Returns when it is done, also if this thread is interrupted meanwhile. */
  static <T> T call(Callable<T> work) throws EngineException {
    FutureTask<T> task = new FutureTask<>(work);
    Thread.ofPlatform().daemon().name("engine").start(task);
    boolean interrupted = false;
    try {
      while (true) {
        try {
          return task.get();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    } catch (ExecutionException e) {
      throw e.getCause() instanceof EngineException known
          ? known
          : new EngineException(EngineException.Kind.FAILED, String.valueOf(e.getMessage()), e);
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
