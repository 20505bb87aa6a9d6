package dev.podflare.mcp;

import java.time.Duration;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One client, from its first word to its last: its calls that run, and the sandbox that is its own.
 *
 * <p>A call that names no sandbox means the connection's own. It is made when it is first needed,
 * is frozen to disk while nothing happens, and is closed with the connection, as are its forks.
 * What a client makes by name, by {@code create_sandbox} or {@code resume}, stays.
 */
final class Connection implements AutoCloseable {

  private static final System.Logger LOG = System.getLogger(Connection.class.getName());

  private static final int MOST_CALLS = 64;

  /** How long calls may take to end when their connection does. */
  private static final Duration TO_STOP = Duration.ofSeconds(1);

  private final ReentrantLock closing = new ReentrantLock();
  private final SandboxCalls calls;
  private final Map<String, ?> wish;
  private final Map<Object, RunningCall> running = new ConcurrentHashMap<>();
  private final Set<String> family = new LinkedHashSet<>();
  private Optional<String> own = Optional.empty();
  private boolean closed;

  /**
   * @param wish what its own sandbox is created with
   */
  Connection(SandboxCalls calls, Map<String, ?> wish) {
    this.calls = calls;
    this.wish = Map.copyOf(wish);
  }

  SandboxCalls calls() {
    return calls;
  }

  // --- its calls ---

  /**
   * A request has come.
   *
   * @throws Failure if too many run already
   */
  RunningCall begin(Object id) {
    if (running.size() >= MOST_CALLS) {
      throw Failure.of(Trouble.TOO_MANY_CALLS);
    }
    RunningCall call = new RunningCall(this, id);
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

  List<RunningCall> running() {
    return List.copyOf(running.values());
  }

  /** All of them together have this time. */
  private static void awaitEnds(List<RunningCall> calls) {
    long end = System.nanoTime() + TO_STOP.toNanos();
    try {
      for (RunningCall call : calls) {
        if (!call.awaitEnd(Duration.ofNanos(Math.max(0, end - System.nanoTime())))) {
          LOG.log(System.Logger.Level.WARNING, "a call did not end within " + TO_STOP);
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  // --- its sandbox ---

  /** The connection's own sandbox. */
  synchronized String own() {
    if (closed) {
      throw Failure.of(Trouble.OWN_SANDBOX_GONE, "This connection is closed");
    }
    if (own.isEmpty()) {
      String made = calls.create(wish);
      own = Optional.of(made);
      family.add(made);
    }
    return own.get();
  }

  /** The connection's own sandbox, if it has one already. */
  synchronized Optional<String> ownIfAny() {
    return own;
  }

  synchronized boolean isOwn(String sandbox) {
    return own.equals(Optional.of(sandbox));
  }

  /** A sandbox has got children. */
  synchronized void forked(String parent, List<String> children) {
    if (family.contains(parent)) {
      family.addAll(children);
    }
  }

  /** A sandbox is no more. */
  synchronized void gone(String sandbox) {
    family.remove(sandbox);
    if (isOwn(sandbox)) {
      own = Optional.empty();
    }
  }

  /**
   * Stops what runs, and closes what is its own. Who closes it at the same time as another waits
   * for that: the process may end when this returns.
   */
  @Override
  public void close() {
    closing.lock();
    try {
      stopAndClose();
    } finally {
      closing.unlock();
    }
  }

  private void stopAndClose() {
    List<RunningCall> left = running();
    left.forEach(RunningCall::cancel);
    awaitEnds(left);
    List<String> sandboxes;
    synchronized (this) {
      closed = true;
      own = Optional.empty();
      sandboxes = List.copyOf(family);
      family.clear();
    }
    for (String sandbox : sandboxes) {
      try {
        calls.close(sandbox);
      } catch (Failure e) {
        // Its lifetime ends it in any case.
        LOG.log(System.Logger.Level.WARNING, sandbox + " could not be closed: " + e.getMessage());
      }
    }
  }
}
