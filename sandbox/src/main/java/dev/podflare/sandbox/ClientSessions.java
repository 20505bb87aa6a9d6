package dev.podflare.sandbox;

import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/** The sessions of clients that outlive the server's process. Safe for use by many threads. */
public final class ClientSessions {

  private final Database database;

  ClientSessions(Database database) {
    this.database = database;
  }

  /** Writes a session, in place of what was written of the same one before. */
  public void write(ClientSession session) {
    database.change(
        """
        INSERT INTO client_sessions (id_hash, owner, client, own, family, named, used_at)
          VALUES (?, ?, ?, ?, ?, ?, ?)
          ON CONFLICT (id_hash) DO UPDATE SET
            own = excluded.own, family = excluded.family, named = excluded.named,
            used_at = excluded.used_at
        """,
        insert -> {
          insert.setString(1, session.idHash());
          insert.setString(2, session.owner());
          insert.setString(3, session.client());
          insert.setString(4, session.own().orElse(null));
          insert.setString(5, String.join(" ", new TreeSet<>(session.family())));
          insert.setString(6, String.join(" ", new TreeSet<>(session.named())));
          insert.setLong(7, session.usedAt().toEpochMilli());
        });
  }

  /** Notes that a session was used; nothing if it is not there. */
  public void touch(String idHash, Instant usedAt) {
    database.change(
        "UPDATE client_sessions SET used_at = ? WHERE id_hash = ?",
        update -> {
          update.setLong(1, usedAt.toEpochMilli());
          update.setString(2, idHash);
        });
  }

  public Optional<ClientSession> find(String idHash) {
    return database.first(
        "SELECT * FROM client_sessions WHERE id_hash = ?",
        query -> query.setString(1, idHash),
        ClientSessions::read);
  }

  /** The sessions of a key, the one that was not used for longest first. */
  public List<ClientSession> ofOwner(String owner) {
    return database.all(
        "SELECT * FROM client_sessions WHERE owner = ? ORDER BY used_at, id_hash",
        query -> query.setString(1, owner),
        ClientSessions::read);
  }

  /** Forgets a session; nothing if it is not there. */
  public void remove(String idHash) {
    database.change(
        "DELETE FROM client_sessions WHERE id_hash = ?", delete -> delete.setString(1, idHash));
  }

  /** Forgets the sessions that were not used since then. */
  public void removeUnusedSince(Instant instant) {
    database.change(
        "DELETE FROM client_sessions WHERE used_at < ?",
        delete -> delete.setLong(1, instant.toEpochMilli()));
  }

  private static ClientSession read(ResultSet row) throws SQLException {
    return new ClientSession(
        row.getString("id_hash"),
        row.getString("owner"),
        row.getString("client"),
        Optional.ofNullable(row.getString("own")),
        ids(row.getString("family")),
        ids(row.getString("named")),
        Instant.ofEpochMilli(row.getLong("used_at")));
  }

  private static Set<String> ids(String joined) {
    return joined.isEmpty() ? Set.of() : Set.of(joined.split(" ", -1));
  }
}
