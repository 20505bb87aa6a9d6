package dev.podflare.mcp;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.Collectors;

/**
 * One client that keeps a session, from its first word to its last: its calls that run, and the
 * sandbox that is its own.
 *
 * <p>A call that names no sandbox means the connection's own. It is made when it is first needed,
 * is frozen to disk while nothing happens, and is closed with the connection, as are its forks.
 * What a client makes by name, by {@code create_sandbox} or {@code resume}, stays.
 */
final class Connection implements Caller, AutoCloseable {

  private static final System.Logger LOG = System.getLogger(Connection.class.getName());

  private final ReentrantLock closing = new ReentrantLock();
  private final SandboxCalls calls;
  private final Map<String, ?> options;
  private final RunningCalls running = new RunningCalls();
  private final Watcher watcher;
  private final Set<String> family;
  private final Set<String> named;
  private Optional<String> own;
  private boolean closed;

  /**
   * The sandboxes of a connection.
   *
   * @param own the one that is meant by a call that names none
   * @param family what is closed with the connection: its own, and its forks
   * @param named what the client made by name
   */
  record Sandboxes(Optional<String> own, Set<String> family, Set<String> named) {

    static final Sandboxes NONE = new Sandboxes(Optional.empty(), Set.of(), Set.of());

    Sandboxes {
      family = Set.copyOf(family);
      named = Set.copyOf(named);
    }
  }

  /** Hears of each change of a connection's sandboxes, so that it can be written down. */
  interface Watcher {
    void changed(Sandboxes sandboxes);
  }

  /**
   * @param options what its own sandbox is created with
   * @param sandboxes those that it has from before a restart of the server
   */
  Connection(SandboxCalls calls, Map<String, ?> options, Sandboxes sandboxes, Watcher watcher) {
    this.calls = calls;
    this.options = Map.copyOf(options);
    this.watcher = watcher;
    family = new LinkedHashSet<>(sandboxes.family());
    named = new LinkedHashSet<>(sandboxes.named());
    own = sandboxes.own();
  }

  /** A new client, whose sandboxes nobody writes down. */
  Connection(SandboxCalls calls, Map<String, ?> options) {
    this(calls, options, Sandboxes.NONE, _ -> {});
  }

  @Override
  public SandboxCalls calls() {
    return calls;
  }

  RunningCalls running() {
    return running;
  }

  @Override
  public synchronized String unnamed() {
    if (closed) {
      throw Failure.of(Trouble.OWN_SANDBOX_GONE, "This connection is closed");
    }
    if (own.isEmpty()) {
      String made = calls.create(options);
      own = Optional.of(made);
      family.add(made);
      tell();
    }
    return own.get();
  }

  @Override
  public String unnamedOrNew() {
    return unnamed();
  }

  @Override
  public synchronized Optional<String> unnamedIfAny() {
    return own;
  }

  /** Nothing: the client need not know the id of what is its own. */
  @Override
  public Optional<String> news() {
    return Optional.empty();
  }

  @Override
  public synchronized Set<String> ownOf(List<SandboxCalls.Listed> sandboxes) {
    return sandboxes.stream()
        .map(SandboxCalls.Listed::id)
        .filter(id -> family.contains(id) || named.contains(id))
        .collect(Collectors.toSet());
  }

  @Override
  public synchronized void made(String sandbox) {
    named.add(sandbox);
    tell();
  }

  @Override
  public synchronized void forked(String parent, List<String> children) {
    if (family.contains(parent)) {
      family.addAll(children);
      tell();
    } else if (named.contains(parent)) {
      named.addAll(children);
      tell();
    }
  }

  @Override
  public synchronized void gone(String sandbox) {
    boolean changed = family.remove(sandbox);
    changed |= named.remove(sandbox);
    if (own.equals(Optional.of(sandbox))) {
      own = Optional.empty();
      changed = true;
    }
    if (changed) {
      tell();
    }
  }

  private void tell() {
    watcher.changed(new Sandboxes(own, family, named));
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
    running.stop();
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
