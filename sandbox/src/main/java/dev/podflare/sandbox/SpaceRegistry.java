package dev.podflare.sandbox;

import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/** Every Space that ever was. What is in one, its own manifest says. */
final class SpaceRegistry {

  private final Database database;

  SpaceRegistry(Database database) {
    this.database = database;
  }

  void add(SpaceInfo space) {
    database.change(
        """
        INSERT INTO spaces (id, owner, sandbox, held_by, family, generation, template, cpus,
          memory_mib, disk_mib, disk_bytes, metadata, created_at)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        insert -> {
          insert.setString(1, space.id().value());
          insert.setString(2, space.owner());
          insert.setString(3, space.sandbox().value());
          insert.setString(4, space.heldBy().map(SandboxId::value).orElse(null));
          insert.setString(5, space.family().value());
          insert.setInt(6, space.generation());
          insert.setString(7, space.template());
          insert.setInt(8, space.shape().cpus());
          insert.setInt(9, space.shape().memoryMiB());
          insert.setInt(10, space.shape().diskMiB());
          insert.setLong(11, space.diskBytes());
          insert.setString(12, Registry.marks(space.metadata()));
          insert.setLong(13, space.createdAt().toEpochMilli());
        });
  }

  /** Writes down that a Space is its user's from now on, and no sandbox sleeps in it. */
  void release(SpaceId id) {
    database.change(
        "UPDATE spaces SET held_by = NULL WHERE id = ?", update -> update.setString(1, id.value()));
  }

  /** Writes down that a Space is deleted. Does nothing, and says so, if it is already. */
  boolean delete(SpaceId id, Instant when) {
    return 1
        == database.change(
            "UPDATE spaces SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL",
            update -> {
              update.setLong(1, when.toEpochMilli());
              update.setString(2, id.value());
            });
  }

  /** The Spaces of an owner that are there, oldest first. */
  List<SpaceInfo> ownedBy(String owner) {
    return database.all(
        """
        SELECT * FROM spaces WHERE deleted_at IS NULL AND owner = ? ORDER BY created_at, id
        """,
        query -> query.setString(1, owner),
        SpaceRegistry::read);
  }

  /** All Spaces that are there. */
  List<SpaceInfo> all() {
    return database.all(
        "SELECT * FROM spaces WHERE deleted_at IS NULL", query -> {}, SpaceRegistry::read);
  }

  /** A Space that is there. */
  Optional<SpaceInfo> find(SpaceId id) {
    return database.first(
        "SELECT * FROM spaces WHERE deleted_at IS NULL AND id = ?",
        query -> query.setString(1, id.value()),
        SpaceRegistry::read);
  }

  /** Whose a Space is or was; empty if there never was one of this id. */
  Optional<String> ownerEver(SpaceId id) {
    return database.first(
        "SELECT owner FROM spaces WHERE id = ?",
        query -> query.setString(1, id.value()),
        row -> row.getString(1));
  }

  private static SpaceInfo read(ResultSet row) throws SQLException {
    return new SpaceInfo(
        new SpaceId(row.getString("id")),
        row.getString("owner"),
        new SandboxId(row.getString("sandbox")),
        Optional.ofNullable(row.getString("held_by")).map(SandboxId::new),
        new SandboxId(row.getString("family")),
        row.getInt("generation"),
        row.getString("template"),
        Registry.shape(row),
        Instant.ofEpochMilli(row.getLong("created_at")),
        row.getLong("disk_bytes"),
        Registry.marks(row.getString("metadata")));
  }
}
