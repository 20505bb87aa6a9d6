package dev.podflare.mcp;

import io.modelcontextprotocol.spec.McpStreamableServerSession;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * The sessions of clients over HTTP. They may go without a word, so there is a bound for each key,
 * beyond which the one that was idle for longest makes room, and an end for those that nobody uses.
 */
final class HttpSessions implements AutoCloseable {

  private static final System.Logger LOG = System.getLogger(HttpSessions.class.getName());

  private static final int SWEEPS_PER_LIMIT = 20;

  private final int mostOfOneKey;
  private final Duration idleLimit;
  private final Map<String, Session> sessions = new ConcurrentHashMap<>();
  private final ScheduledExecutorService sweeper =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofVirtual().name("mcp-idle-sessions").factory());

  HttpSessions(int mostOfOneKey, Duration idleLimit) {
    this.mostOfOneKey = mostOfOneKey;
    this.idleLimit = idleLimit;
    long period = Math.max(1, idleLimit.toMillis() / SWEEPS_PER_LIMIT);
    var _ = sweeper.scheduleAtFixedRate(this::sweep, period, period, TimeUnit.MILLISECONDS);
  }

  /** One client, by the key that it came with. */
  static final class Session {

    private final McpStreamableServerSession protocol;
    private final Connection connection;
    private final String owner;
    private volatile long usedNanos = System.nanoTime();

    Session(McpStreamableServerSession protocol, Connection connection, String owner) {
      this.protocol = protocol;
      this.connection = connection;
      this.owner = owner;
    }

    McpStreamableServerSession protocol() {
      return protocol;
    }

    Connection connection() {
      return connection;
    }

    void used() {
      usedNanos = System.nanoTime();
    }

    private long idleNanos() {
      return connection.running().isEmpty() ? System.nanoTime() - usedNanos : 0;
    }

    private void close() {
      protocol.close();
      connection.close();
    }
  }

  void add(Session session) {
    sessions.put(session.protocol().getId(), session);
    List<Session> same =
        sessions.values().stream()
            .filter(other -> other.owner.equals(session.owner))
            .sorted(Comparator.comparingLong(Session::idleNanos).reversed())
            .toList();
    same.stream()
        .filter(other -> other != session)
        .limit(Math.max(0, same.size() - mostOfOneKey))
        .forEach(this::close);
  }

  /** A session, if it is this key's. */
  Optional<Session> find(String id, String owner) {
    Optional<Session> found =
        Optional.ofNullable(sessions.get(id)).filter(session -> session.owner.equals(owner));
    found.ifPresent(Session::used);
    return found;
  }

  void close(Session session) {
    if (sessions.remove(session.protocol().getId(), session)) {
      session.close();
    }
  }

  int count() {
    return sessions.size();
  }

  private void sweep() {
    for (Session session : sessions.values()) {
      if (session.idleNanos() > idleLimit.toNanos()) {
        try {
          close(session);
        } catch (RuntimeException e) {
          LOG.log(System.Logger.Level.WARNING, "an idle session did not end cleanly", e);
        }
      }
    }
  }

  /** Forgets all of them. Their sandboxes are the server's to end, or to keep. */
  @Override
  public void close() {
    sweeper.shutdownNow();
    sessions.values().forEach(session -> session.protocol().close());
    sessions.clear();
  }
}
