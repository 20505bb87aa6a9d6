package dev.podflare.mcp;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** The requests of one client that are not answered yet, by their ids. */
final class RunningCalls {

  private static final System.Logger LOG = System.getLogger(RunningCalls.class.getName());

  private static final int MOST = 64;

  /** How long calls may take to end when their client's connection does. */
  private static final Duration TO_STOP = Duration.ofSeconds(1);

  private final Map<Object, RunningCall> running = new ConcurrentHashMap<>();

  /**
   * A request has come.
   *
   * @throws Failure if too many run already
   */
  RunningCall begin(Object id, Caller caller) {
    if (running.size() >= MOST) {
      throw Failure.of(Trouble.TOO_MANY_CALLS);
    }
    RunningCall call = new RunningCall(caller, id);
    running.put(id, call);
    return call;
  }

  void end(RunningCall call) {
    running.remove(call.id(), call);
    call.end();
  }

  /** The client does not want the answer any more. Unknown ids and late words are nothing. */
  void cancel(Object id) {
    RunningCall call = running.get(id);
    if (call != null) {
      call.cancel();
    }
  }

  /** Whether the client has said that it does not want the answer to this request. */
  boolean isCancelled(Object id) {
    RunningCall call = running.get(id);
    return call != null && call.isCancelled();
  }

  List<RunningCall> all() {
    return List.copyOf(running.values());
  }

  boolean isEmpty() {
    return running.isEmpty();
  }

  /** Waits for all to end, each of them for at most so long. */
  void awaitEnds(Duration limit) throws InterruptedException {
    for (RunningCall call : all()) {
      call.awaitEnd(limit);
    }
  }

  /** Cancels all, and waits a moment for them to end. */
  void stop() {
    List<RunningCall> left = all();
    left.forEach(RunningCall::cancel);
    long end = System.nanoTime() + TO_STOP.toNanos();
    try {
      for (RunningCall call : left) {
        if (!call.awaitEnd(Duration.ofNanos(Math.max(0, end - System.nanoTime())))) {
          LOG.log(System.Logger.Level.WARNING, "a call did not end within " + TO_STOP);
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
