package dev.podflare.sandbox;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;

/**
 * The steps that bring the database's tables from any earlier version to this one, in order. A step
 * that was released is never changed; a change is a new step. docs/dependencies.md says why no
 * library does it.
 */
final class Migrations {

  private static final List<String> STEPS =
      List.of(
          "0001-sandboxes.sql",
          "0002-branching.sql",
          "0003-execs.sql",
          "0004-templates.sql",
          "0005-client-sessions.sql",
          "0006-fork-figures.sql");

  private Migrations() {}

  /** Each step runs in a transaction together with the note that it has run. */
  static void bringUpToDate(Connection database) throws SQLException {
    database.setAutoCommit(false);
    try (Statement statement = database.createStatement()) {
      statement.execute("CREATE TABLE IF NOT EXISTS migrations (step INTEGER PRIMARY KEY)");
      int done = stepsDone(statement);
      if (done > STEPS.size()) {
        throw new SQLException(
            "it was written by a newer Podflare; use that one, or another --data-dir");
      }
      for (int step = done; step < STEPS.size(); step++) {
        for (String sql : read(STEPS.get(step)).split(";\\s*\\R", -1)) {
          if (!sql.isBlank()) {
            statement.execute(sql);
          }
        }
        statement.execute("INSERT INTO migrations (step) VALUES (" + (step + 1) + ")");
        database.commit();
      }
      database.commit();
    } catch (SQLException e) {
      database.rollback();
      throw e;
    } finally {
      database.setAutoCommit(true);
    }
  }

  private static int stepsDone(Statement statement) throws SQLException {
    try (ResultSet row = statement.executeQuery("SELECT COALESCE(MAX(step), 0) FROM migrations")) {
      row.next();
      return row.getInt(1);
    }
  }

  private static String read(String step) throws SQLException {
    try (InputStream sql = Migrations.class.getResourceAsStream(step)) {
      if (sql == null) {
        throw new SQLException("the migration " + step + " is not in this program");
      }
      return new String(sql.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new SQLException("the migration " + step + " can't be read", e);
    }
  }
}
