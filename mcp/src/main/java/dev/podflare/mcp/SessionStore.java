package dev.podflare.mcp;

import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Where the sessions of clients over HTTP are kept, so that they outlive the server's process. Safe
 * for use by many threads.
 */
public interface SessionStore {

  /** Writes a session, in place of what was written of the same one before. */
  void write(StoredSession session);

  /** Notes that a session was used; nothing if it is not there. */
  void touch(String idHash, Instant usedAt);

  Optional<StoredSession> find(String idHash);

  /** The sessions of a key, the one that was not used for longest first. */
  List<StoredSession> ofOwner(String owner);

  /** Forgets a session; nothing if it is not there. */
  void remove(String idHash);

  /** Forgets the sessions that were not used since then. */
  void removeUnusedSince(Instant instant);

  /**
   * A session.
   *
   * @param idHash the SHA-256 of its id, in hex: who reads the database can't take it over
   * @param owner whose key began it
   * @param initialize the parameters of its {@code initialize} request, as JSON: version of the
   *     protocol, capabilities and name of the client
   * @param own the sandbox that a call without a name means, if it has one
   * @param family the sandboxes that are closed with it
   * @param named the sandboxes that its client made by name
   */
  record StoredSession(
      String idHash,
      String owner,
      String initialize,
      Optional<String> own,
      Set<String> family,
      Set<String> named,
      Instant usedAt) {}

  /** Keeps nothing longer than this process lives. */
  static SessionStore inMemory() {
    return new SessionsInMemory();
  }
}
