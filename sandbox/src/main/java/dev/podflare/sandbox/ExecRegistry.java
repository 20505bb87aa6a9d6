package dev.podflare.sandbox;

import java.sql.Types;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * The execs that a next server must know of: those that nobody waits with, and those that take
 * long; until they end.
 */
final class ExecRegistry {

  private final Database database;

  ExecRegistry(Database database) {
    this.database = database;
  }

  void add(ExecRecord exec) {
    database.change(
        """
        INSERT INTO execs (id, sandbox, language, background, code, created_at, started_at, stream)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        """,
        insert -> {
          insert.setString(1, exec.id().value());
          insert.setString(2, exec.sandbox().value());
          insert.setString(3, exec.language().name().toLowerCase(Locale.ROOT));
          insert.setInt(4, exec.background() ? 1 : 0);
          insert.setString(5, exec.code());
          insert.setLong(6, exec.createdAt().toEpochMilli());
          if (exec.startedAt().isPresent()) {
            insert.setLong(7, exec.startedAt().get().toEpochMilli());
          } else {
            insert.setNull(7, Types.BIGINT);
          }
          if (exec.stream().isPresent()) {
            insert.setInt(8, exec.stream().get());
          } else {
            insert.setNull(8, Types.INTEGER);
          }
        });
  }

  void started(ExecId id, Instant when, int stream) {
    database.change(
        "UPDATE execs SET started_at = COALESCE(started_at, ?), stream = ? WHERE id = ?",
        update -> {
          update.setLong(1, when.toEpochMilli());
          update.setInt(2, stream);
          update.setString(3, id.value());
        });
  }

  void remove(ExecId id) {
    database.change("DELETE FROM execs WHERE id = ?", delete -> delete.setString(1, id.value()));
  }

  /** Forgets those of sandboxes that are closed. */
  void removeOfClosed() {
    database.change(
        """
        DELETE FROM execs
          WHERE sandbox NOT IN (SELECT id FROM sandboxes WHERE closed_at IS NULL)
        """,
        delete -> {});
  }

  /** Those of a sandbox, oldest first. */
  List<ExecRecord> of(SandboxId sandbox) {
    return database.all(
        "SELECT * FROM execs WHERE sandbox = ? ORDER BY created_at, id",
        query -> query.setString(1, sandbox.value()),
        row -> {
          long started = row.getLong("started_at");
          boolean waits = row.wasNull();
          int stream = row.getInt("stream");
          boolean nowhere = row.wasNull();
          return new ExecRecord(
              new ExecId(row.getString("id")),
              sandbox,
              ExecRequest.Language.valueOf(row.getString("language").toUpperCase(Locale.ROOT)),
              row.getInt("background") == 1,
              row.getString("code"),
              Instant.ofEpochMilli(row.getLong("created_at")),
              waits ? Optional.empty() : Optional.of(Instant.ofEpochMilli(started)),
              nowhere ? Optional.empty() : Optional.of(stream));
        });
  }
}
