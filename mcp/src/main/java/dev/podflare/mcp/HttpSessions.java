package dev.podflare.mcp;

import dev.podflare.mcp.SessionStore.StoredSession;
import io.modelcontextprotocol.spec.McpStreamableServerSession;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * The sessions of clients over HTTP. Clients may go without a word, so there is a bound for each
 * key, beyond which the session that was idle for longest makes room, and an end for those that
 * nobody uses.
 *
 * <p>A session is written down when it begins and when its sandboxes change. One that is only
 * written down, because the server was restarted, comes back at its next call; it is the caller who
 * then brings the key, which is not kept.
 */
final class HttpSessions implements AutoCloseable {

  private static final System.Logger LOG = System.getLogger(HttpSessions.class.getName());

  private static final int SWEEPS_PER_LIMIT = 20;

  /** That a session is used is written down with this precision, so that calls cost no write. */
  private static final Duration PRECISION = Duration.ofMinutes(1);

  private static final int ID_BYTES = 20;

  private final int mostOfOneKey;
  private final Duration idleLimit;
  private final SessionStore store;
  private final InstantSource clock;
  private final SecureRandom random = new SecureRandom();
  private final Map<String, Session> sessions = new ConcurrentHashMap<>();
  private final ScheduledExecutorService sweeper =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofVirtual().name("mcp-idle-sessions").factory());

  HttpSessions(int mostOfOneKey, Duration idleLimit, SessionStore store, InstantSource clock) {
    this.mostOfOneKey = mostOfOneKey;
    this.idleLimit = idleLimit;
    this.store = store;
    this.clock = clock;
    long period = Math.max(1, idleLimit.toMillis() / SWEEPS_PER_LIMIT);
    var _ = sweeper.scheduleAtFixedRate(this::sweep, period, period, TimeUnit.MILLISECONDS);
  }

  /** One client, by the key that it came with. */
  final class Session {

    private final String idHash;
    private final String owner;
    private final String initialize;
    private final McpStreamableServerSession protocol;
    private final Connection connection;
    private volatile Instant usedAt = clock.instant();
    private volatile Instant writtenAt = usedAt;
    private volatile boolean ended;

    private Session(
        String idHash,
        String owner,
        String initialize,
        McpStreamableServerSession protocol,
        NewConnection connection,
        Connection.Sandboxes sandboxes) {
      this.idHash = idHash;
      this.owner = owner;
      this.initialize = initialize;
      this.protocol = protocol;
      this.connection = connection.with(sandboxes, this::write);
    }

    McpStreamableServerSession protocol() {
      return protocol;
    }

    Connection connection() {
      return connection;
    }

    void used() {
      usedAt = clock.instant();
      if (Duration.between(writtenAt, usedAt).compareTo(PRECISION) > 0) {
        writtenAt = usedAt;
        store.touch(idHash, usedAt);
      }
    }

    private void write(Connection.Sandboxes sandboxes) {
      if (ended) {
        return; // what it closes at its end is no reason to be remembered
      }
      store.write(
          new StoredSession(
              idHash,
              owner,
              initialize,
              sandboxes.own(),
              sandboxes.family(),
              sandboxes.named(),
              usedAt));
    }

    private boolean isIdleSince(Instant instant) {
      return connection.running().isEmpty() && usedAt.isBefore(instant);
    }

    private void end() {
      ended = true;
      protocol.close();
      connection.close();
    }
  }

  /** Makes the connection of a session. */
  interface NewConnection {
    Connection with(Connection.Sandboxes sandboxes, Connection.Watcher watcher);
  }

  /** Makes the protocol's side of a session that has come back. */
  interface Revival {
    McpStreamableServerSession of(String initialize);
  }

  /**
   * Begins a session.
   *
   * @param initialize the parameters of its request, as JSON
   * @return its id, which is told once and not kept
   */
  String begin(
      String owner,
      String initialize,
      McpStreamableServerSession protocol,
      NewConnection connection) {
    byte[] bytes = new byte[ID_BYTES];
    random.nextBytes(bytes);
    String id = HexFormat.of().formatHex(bytes);
    Session session =
        new Session(hash(id), owner, initialize, protocol, connection, Connection.Sandboxes.NONE);
    sessions.put(session.idHash, session);
    session.write(Connection.Sandboxes.NONE);
    makeRoom(session);
    return id;
  }

  private void makeRoom(Session begun) {
    List<StoredSession> all = store.ofOwner(begun.owner);
    if (all.size() <= mostOfOneKey) {
      return;
    }
    all.stream()
        .filter(other -> !other.idHash().equals(begun.idHash))
        .sorted(Comparator.comparing(this::usedAt))
        .limit(all.size() - (long) mostOfOneKey)
        .forEach(other -> end(other.idHash()));
  }

  private Instant usedAt(StoredSession stored) {
    Session live = sessions.get(stored.idHash());
    if (live == null) {
      return stored.usedAt();
    }
    return live.connection.running().isEmpty() ? live.usedAt : Instant.MAX;
  }

  /** A session, if it is this key's. */
  Optional<Session> find(String id, String owner, Revival revival, NewConnection connection) {
    String hash = hash(id);
    Optional<Session> found =
        Optional.ofNullable(
                sessions.computeIfAbsent(
                    hash, _ -> revived(hash, owner, revival, connection).orElse(null)))
            .filter(session -> session.owner.equals(owner));
    found.ifPresent(Session::used);
    return found;
  }

  private Optional<Session> revived(
      String hash, String owner, Revival revival, NewConnection connection) {
    return store
        .find(hash)
        .filter(stored -> stored.owner().equals(owner))
        .filter(stored -> stored.usedAt().isAfter(clock.instant().minus(idleLimit)))
        .map(stored ->
            new Session(
                hash,
                owner,
                stored.initialize(),
                revival.of(stored.initialize()),
                connection,
                new Connection.Sandboxes(stored.own(), stored.family(), stored.named())));
  }

  /** Ends a session, and closes what is its own. */
  void end(Session session) {
    end(session.idHash);
  }

  /** One that has not come back has its sandboxes ended by their lifetime: its key is not known. */
  private void end(String idHash) {
    // The row first: a call that comes meanwhile would bring the session back by it.
    store.remove(idHash);
    Session session = sessions.remove(idHash);
    if (session != null) {
      session.end();
    }
  }

  int count() {
    return sessions.size();
  }

  private void sweep() {
    Instant oldest = clock.instant().minus(idleLimit);
    try {
      for (Session session : sessions.values()) {
        if (session.isIdleSince(oldest)) {
          end(session);
        }
      }
      store.removeUnusedSince(oldest.minus(PRECISION));
    } catch (RuntimeException e) {
      LOG.log(System.Logger.Level.WARNING, "an idle session did not end cleanly", e);
    }
  }

  private static String hash(String id) {
    try {
      return HexFormat.of()
          .formatHex(
              MessageDigest.getInstance("SHA-256").digest(id.getBytes(StandardCharsets.UTF_8)));
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  /** Forgets all of them here. Their sandboxes are the server's to end, or to keep. */
  @Override
  public void close() {
    sweeper.shutdownNow();
    sessions.values().forEach(session -> session.protocol.close());
    sessions.clear();
  }
}
