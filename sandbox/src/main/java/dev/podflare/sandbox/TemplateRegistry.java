package dev.podflare.sandbox;

import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * Every build of a user's template that ever was.
 *
 * <p>Of one name there are at most two rows that count: the build that is {@link State#READY}, from
 * which sandboxes are made, and a later one that goes on or has failed.
 */
final class TemplateRegistry {

  /** What became of a build. */
  enum State {
    /** It goes on, or was going on when the server died. */
    BUILDING("building"),
    /** Sandboxes are made from it. */
    READY("ready"),
    /** It made nothing. */
    FAILED("failed");

    private final String word;

    State(String word) {
      this.word = word;
    }

    static State of(String word) {
      for (State state : values()) {
        if (state.word.equals(word)) {
          return state;
        }
      }
      throw new IllegalArgumentException("no state of a build: " + word);
    }
  }

  /**
   * A build that was neither deleted nor replaced.
   *
   * @param error why it failed
   */
  record Entry(TemplateRecord template, State state, Optional<String> error) {}

  private final Database database;

  TemplateRegistry(Database database) {
    this.database = database;
  }

  /** Counts the builds of a name that came to their end. One that was deleted goes on counting. */
  int nextVersion(String owner, String name) {
    return database
        .first(
            """
            SELECT COALESCE(MAX(version), 0) + 1 FROM templates
              WHERE owner = ? AND name = ? AND state = 'ready'
            """,
            query -> {
              query.setString(1, owner);
              query.setString(2, name);
            },
            row -> row.getInt(1))
        .orElse(1);
  }

  /** Writes down that a build goes on; what failed before it under this name is forgotten. */
  void begin(TemplateRecord template) {
    var _ =
        database.atomically(() -> {
          deleteOf(template, State.FAILED);
          return insert(template, State.BUILDING);
        });
  }

  /** Writes down why a build made nothing. Does nothing if it was deleted meanwhile. */
  void fail(TemplateId id, String why) {
    database.change(
        """
        UPDATE templates SET state = 'failed', error = ?
          WHERE id = ? AND state = 'building' AND deleted_at IS NULL
        """,
        update -> {
          update.setString(1, why);
          update.setString(2, id.value());
        });
  }

  /**
   * Writes down that a build is whole, and takes the place of the one before it: both or nothing,
   * whatever dies.
   *
   * @return false if it was deleted meanwhile, or a later one is there; it is nobody's then
   */
  boolean ready(TemplateRecord template) {
    return database.atomically(() -> {
      boolean known = everWas(template.id());
      boolean deleted = known && !isThere(template.id());
      Optional<TemplateRecord> before = ready(template.owner(), template.name());
      if (deleted || before.map(one -> one.version() > template.version()).orElse(false)) {
        return false;
      }
      deleteOf(template, State.READY);
      if (!known) {
        // A database that lost its last words with the host knows less than the directories.
        return insert(template, State.READY) == 1;
      }
      return 1
          == database.change(
              "UPDATE templates SET state = 'ready', error = NULL WHERE id = ?",
              update -> update.setString(1, template.id().value()));
    });
  }

  private int insert(TemplateRecord template, State state) {
    return database.change(
        """
        INSERT INTO templates (id, owner, name, version, base, base_mark, engine, cpus, memory_mib,
          disk_mib, created_at, state)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        insert -> {
          insert.setString(1, template.id().value());
          insert.setString(2, template.owner());
          insert.setString(3, template.name());
          insert.setInt(4, template.version());
          insert.setString(5, template.base());
          insert.setString(6, template.baseMark());
          insert.setString(7, template.engine());
          insert.setInt(8, template.shape().cpus());
          insert.setInt(9, template.shape().memoryMiB());
          insert.setInt(10, template.shape().diskMiB());
          insert.setLong(11, template.createdAt().toEpochMilli());
          insert.setString(12, state.word);
        });
  }

  private void deleteOf(TemplateRecord template, State state) {
    database.change(
        """
        UPDATE templates SET deleted_at = ?
          WHERE owner = ? AND name = ? AND state = ? AND deleted_at IS NULL
        """,
        update -> {
          update.setLong(1, template.createdAt().toEpochMilli());
          update.setString(2, template.owner());
          update.setString(3, template.name());
          update.setString(4, state.word);
        });
  }

  /** Writes down that all builds of a name are deleted; says how many there were. */
  int delete(String owner, String name, Instant when) {
    return database.change(
        "UPDATE templates SET deleted_at = ? WHERE owner = ? AND name = ? AND deleted_at IS NULL",
        update -> {
          update.setLong(1, when.toEpochMilli());
          update.setString(2, owner);
          update.setString(3, name);
        });
  }

  /** Writes down that one build is deleted. */
  void delete(TemplateId id, Instant when) {
    database.change(
        "UPDATE templates SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL",
        update -> {
          update.setLong(1, when.toEpochMilli());
          update.setString(2, id.value());
        });
  }

  /** The build that sandboxes of this name are made from. */
  Optional<TemplateRecord> ready(String owner, String name) {
    return database.first(
        """
        SELECT * FROM templates
          WHERE deleted_at IS NULL AND owner = ? AND name = ? AND state = 'ready'
        """,
        query -> {
          query.setString(1, owner);
          query.setString(2, name);
        },
        TemplateRegistry::template);
  }

  /** The builds of an owner, by name and version. */
  List<Entry> ownedBy(String owner) {
    return database.all(
        """
        SELECT * FROM templates WHERE deleted_at IS NULL AND owner = ? ORDER BY name, version
        """,
        query -> query.setString(1, owner),
        TemplateRegistry::entry);
  }

  /** The builds of a name. */
  List<Entry> named(String owner, String name) {
    return ownedBy(owner).stream().filter(entry -> entry.template().name().equals(name)).toList();
  }

  /** All builds. */
  List<Entry> all() {
    return database.all(
        "SELECT * FROM templates WHERE deleted_at IS NULL ORDER BY owner, name, version",
        query -> {},
        TemplateRegistry::entry);
  }

  /** Whether a build of this id ever was, deleted or not. */
  boolean everWas(TemplateId id) {
    return database
        .first(
            "SELECT id FROM templates WHERE id = ?",
            query -> query.setString(1, id.value()),
            row -> row.getString(1))
        .isPresent();
  }

  private boolean isThere(TemplateId id) {
    return database
        .first(
            "SELECT id FROM templates WHERE id = ? AND deleted_at IS NULL",
            query -> query.setString(1, id.value()),
            row -> row.getString(1))
        .isPresent();
  }

  private static Entry entry(ResultSet row) throws SQLException {
    return new Entry(
        template(row),
        State.of(row.getString("state")),
        Optional.ofNullable(row.getString("error")));
  }

  private static TemplateRecord template(ResultSet row) throws SQLException {
    return new TemplateRecord(
        new TemplateId(row.getString("id")),
        row.getString("owner"),
        row.getString("name"),
        row.getInt("version"),
        row.getString("base"),
        row.getString("base_mark"),
        row.getString("engine"),
        Registry.shape(row),
        Instant.ofEpochMilli(row.getLong("created_at")));
  }
}
