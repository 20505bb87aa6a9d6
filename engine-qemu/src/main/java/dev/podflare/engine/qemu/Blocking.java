package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;

/**
 * Runs what is blocked in system calls on a thread of the host's own. A virtual thread would keep
 * its carrier meanwhile, of which there are as many as processors.
 */
final class Blocking {

  /** As many as wait for the kernel at times, while others run. */
  private static final int AT_ONCE = 4;

  private Blocking() {}

  /** Some threads for several such things at once; closing it waits until all have ended. */
  static ExecutorService threads() {
    return Executors.newFixedThreadPool(AT_ONCE, Thread.ofPlatform().daemon().factory());
  }

  /**
   * What came of things that have ended, in their order.
   *
   * @throws EngineException the failure of one of them
   */
  static <T> List<T> results(List<Future<T>> ended) throws EngineException {
    List<T> results = new ArrayList<>();
    for (Future<T> each : ended) {
      if (each.state() != Future.State.SUCCESS) {
        throw failure(each.exceptionNow());
      }
      results.add(each.resultNow());
    }
    return results;
  }

  /** What comes of a thing, once it has ended. */
  static <T> T result(Future<T> running) throws EngineException {
    return await(running);
  }

  /** Returns when it is done, also if this thread is interrupted meanwhile. */
  static <T> T call(Callable<T> work) throws EngineException {
    FutureTask<T> task = new FutureTask<>(work);
    Thread.ofPlatform().daemon().name("engine").start(task);
    return await(task);
  }

  /** Not cut short by an interrupt: what was begun must be known to have ended. */
  private static <T> T await(Future<T> task) throws EngineException {
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
      throw failure(e.getCause() == null ? e : e.getCause());
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private static EngineException failure(Throwable cause) {
    return cause instanceof EngineException known
        ? known
        : new EngineException(
            EngineException.Kind.FAILED, String.valueOf(cause.getMessage()), cause);
  }
}
