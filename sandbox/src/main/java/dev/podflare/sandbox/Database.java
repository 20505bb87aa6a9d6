package dev.podflare.sandbox;

import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import org.sqlite.SQLiteConfig;

/**
 * The embedded database of all that must outlive the process.
 *
 * <p>The SQL stays within what SQLite and PostgreSQL both speak, so that it can become a shared
 * one. One connection under a lock: a write takes tens of microseconds, and SQLite has one writer
 * anyhow.
 *
 * <p>With a write-ahead log and {@code synchronous=normal}, what is written survives the death of
 * the server at once, and of the host after the next checkpoint. A lost row of a sandbox that died
 * with the host costs nothing; a Space is found again by its directory.
 */
final class Database implements AutoCloseable {

  private final Connection connection;
  private final ReentrantLock lock = new ReentrantLock();

  private Database(Connection connection) {
    this.connection = connection;
  }

  /** Opens the database, and brings its tables up to date. */
  static Database open(Path file) {
    SQLiteConfig config = new SQLiteConfig();
    config.setJournalMode(SQLiteConfig.JournalMode.WAL);
    config.setSynchronous(SQLiteConfig.SynchronousMode.NORMAL);
    config.setBusyTimeout(5000);
    try {
      Connection connection = config.createConnection("jdbc:sqlite:" + file);
      Migrations.bringUpToDate(connection);
      return new Database(connection);
    } catch (SQLException e) {
      throw new DatabaseException("the database " + file + " can't be opened", e);
    }
  }

  /** Gives a statement its values. */
  interface Values {
    void setOn(PreparedStatement statement) throws SQLException;
  }

  /** Makes an object of a row. */
  interface Reading<T> {
    T of(ResultSet row) throws SQLException;
  }

  /** Runs a statement that changes rows, and says how many. */
  int change(String sql, Values values) {
    return run(
        sql,
        statement -> {
          values.setOn(statement);
          return statement.executeUpdate();
        });
  }

  /** The first row of a query. */
  <T> Optional<T> first(String sql, Values values, Reading<T> reading) {
    return run(
        sql,
        statement -> {
          values.setOn(statement);
          try (ResultSet row = statement.executeQuery()) {
            return row.next() ? Optional.of(reading.of(row)) : Optional.empty();
          }
        });
  }

  /** All rows of a query. */
  <T> List<T> all(String sql, Values values, Reading<T> reading) {
    return run(
        sql,
        statement -> {
          values.setOn(statement);
          List<T> found = new ArrayList<>();
          try (ResultSet rows = statement.executeQuery()) {
            while (rows.next()) {
              found.add(reading.of(rows));
            }
          }
          return found;
        });
  }

  /** Does several things in one transaction: all of them, or none if it throws. */
  <T> T atomically(Supplier<T> things) {
    lock.lock();
    try {
      connection.setAutoCommit(false);
      boolean done = false;
      try {
        T result = things.get();
        connection.commit();
        done = true;
        return result;
      } finally {
        if (!done) {
          connection.rollback();
        }
        connection.setAutoCommit(true);
      }
    } catch (SQLException e) {
      throw new DatabaseException("a transaction of the registry failed", e);
    } finally {
      lock.unlock();
    }
  }

  private interface Use<T> {
    T of(PreparedStatement statement) throws SQLException;
  }

  private <T> T run(String sql, Use<T> use) {
    lock.lock();
    try (PreparedStatement prepared = connection.prepareStatement(sql)) {
      return use.of(prepared);
    } catch (SQLException e) {
      throw new DatabaseException("the registry failed", e);
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void close() {
    lock.lock();
    try {
      connection.close();
    } catch (SQLException e) {
      throw new DatabaseException("the database did not close cleanly", e);
    } finally {
      lock.unlock();
    }
  }

  /** The database failed: disk full, file damaged. Nothing that a caller could mend. */
  static final class DatabaseException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    DatabaseException(String message, Throwable cause) {
      super(message, cause);
    }
  }
}
