package dev.podflare.sandbox;

import dev.podflare.engine.Egress;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.MicroVmId;
import dev.podflare.guest.ResyncToken;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Types;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.json.JsonMapper;

/** Every sandbox that ever was, with the machine that it drives if it is open. */
final class Registry {

  private static final JsonMapper JSON = JsonMapper.shared();
  private static final TypeReference<Map<String, String>> MARKS = new TypeReference<>() {};

  private final Database database;

  Registry(Database database) {
    this.database = database;
  }

  /**
   * A sandbox that is not closed.
   *
   * @param machine what it drives; empty if it is asleep, or its machine was not written down
   */
  record Entry(SandboxRecord sandbox, Optional<MachineRecord> machine) {}

  void add(Entry entry) {
    database.change(
        """
        INSERT INTO sandboxes (id, owner, template, cpus, memory_mib, disk_mib, egress, idle_timeout,
          max_lifetime, metadata, created_at, persistent, family, parent, generation, microvm,
          resync, line, confirmed)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        insert -> {
          SandboxRecord sandbox = entry.sandbox();
          insert.setString(1, sandbox.id().value());
          insert.setString(2, sandbox.owner());
          insert.setString(3, sandbox.template());
          insert.setInt(4, sandbox.shape().cpus());
          insert.setInt(5, sandbox.shape().memoryMiB());
          insert.setInt(6, sandbox.shape().diskMiB());
          insert.setString(7, egressWord(sandbox.egress()));
          insert.setLong(8, sandbox.idleTimeout().toMillis());
          setOrNull(insert, 9, sandbox.maxLifetime().map(Duration::toMillis));
          insert.setString(10, marks(sandbox.metadata()));
          insert.setLong(11, sandbox.createdAt().toEpochMilli());
          insert.setInt(12, sandbox.persistent() ? 1 : 0);
          insert.setString(13, sandbox.family().value());
          insert.setString(14, sandbox.parent().map(SandboxId::value).orElse(null));
          setMachine(insert, 15, entry.machine().orElse(null));
        });
  }

  /** All or none. */
  void add(List<Entry> entries) {
    if (entries.size() == 1) {
      add(entries.getFirst());
      return;
    }
    var _ =
        database.atomically(() -> {
          entries.forEach(this::add);
          return entries.size();
        });
  }

  /** Writes down that a sandbox is closed. Does nothing, and says so, if it is already. */
  boolean close(SandboxId id, Instant when, String reason) {
    return 1
        == database.change(
            """
            UPDATE sandboxes SET closed_at = ?, end_reason = ?, microvm = NULL
              WHERE id = ? AND closed_at IS NULL
            """,
            update -> {
              update.setLong(1, when.toEpochMilli());
              update.setString(2, reason);
              update.setString(3, id.value());
            });
  }

  /** Writes down which machine an open sandbox drives from now on. */
  void drive(SandboxId id, MachineRecord machine) {
    setMachineOf(id, machine);
  }

  /** Writes down that an open sandbox drives no machine. */
  void driveNone(SandboxId id) {
    database.change(
        "UPDATE sandboxes SET microvm = NULL WHERE id = ?",
        update -> update.setString(1, id.value()));
  }

  private void setMachineOf(SandboxId id, MachineRecord machine) {
    int changed =
        database.change(
            """
            UPDATE sandboxes SET generation = ?, microvm = ?, resync = ?, line = ?, confirmed = ?
              WHERE id = ? AND closed_at IS NULL
            """,
            update -> {
              setMachine(update, 1, machine);
              update.setString(6, id.value());
            });
    if (changed != 1) {
      throw Refusals.noSandbox();
    }
  }

  private static void setMachine(
      PreparedStatement statement, int first, @Nullable MachineRecord machine) throws SQLException {
    statement.setInt(first, machine == null ? 0 : machine.generation());
    statement.setString(first + 1, machine == null ? null : machine.microVm().value());
    statement.setString(first + 2, machine == null ? null : machine.resync().hex());
    statement.setString(first + 3, machine == null ? "" : machine.line().text());
    statement.setInt(first + 4, machine == null || machine.confirmed() ? 1 : 0);
  }

  /**
   * Merges the winner into the parent: the parent drives its machine, the winner is closed. Both or
   * nothing, whatever dies.
   */
  void swap(SandboxId parent, SandboxId winner, MachineRecord machine, Instant when) {
    var _ =
        database.atomically(() -> {
          if (!close(winner, when, "merged")) {
            throw Refusals.noSandbox();
          }
          setMachineOf(parent, machine);
          return true;
        });
  }

  /** Whose a sandbox is or was; empty if there never was one of this id. */
  Optional<String> ownerEver(SandboxId id) {
    return database.first(
        "SELECT owner FROM sandboxes WHERE id = ?",
        query -> query.setString(1, id.value()),
        row -> row.getString(1));
  }

  /** When a sandbox was created, closed or not; empty if there never was one of this id. */
  Optional<Instant> createdAt(SandboxId id) {
    return database.first(
        "SELECT created_at FROM sandboxes WHERE id = ?",
        query -> query.setString(1, id.value()),
        row -> Instant.ofEpochMilli(row.getLong(1)));
  }

  /** All that ever were of the family of a sandbox, oldest first; none if it never was. */
  List<Relative> family(SandboxId id) {
    return database.all(
        """
        SELECT * FROM sandboxes WHERE family = (SELECT family FROM sandboxes WHERE id = ?)
          ORDER BY created_at, generation, id
        """,
        query -> query.setString(1, id.value()),
        row -> {
          long closed = row.getLong("closed_at");
          boolean open = row.wasNull();
          return new Relative(
              new SandboxId(row.getString("id")),
              Optional.ofNullable(row.getString("parent")).map(SandboxId::new),
              row.getInt("generation"),
              Instant.ofEpochMilli(row.getLong("created_at")),
              open ? Optional.empty() : Optional.of(Instant.ofEpochMilli(closed)),
              Optional.ofNullable(row.getString("end_reason")),
              marks(row.getString("metadata")));
        });
  }

  /** The refusal of a sandbox that is no more; empty if it is open, or never was. */
  Optional<SandboxException> ended(SandboxId id) {
    return database.first(
        "SELECT end_reason, closed_at FROM sandboxes WHERE id = ? AND closed_at IS NOT NULL",
        query -> query.setString(1, id.value()),
        row ->
            Refusals.noSandboxAnyMore(
                String.valueOf(row.getString("end_reason")),
                Instant.ofEpochMilli(row.getLong("closed_at"))));
  }

  /** A sandbox as it was made, closed or not; empty if there never was one of this id. */
  Optional<SandboxRecord> find(SandboxId id) {
    return database.first(
        "SELECT * FROM sandboxes WHERE id = ?",
        query -> query.setString(1, id.value()),
        Registry::sandbox);
  }

  /** The sandboxes that are not closed, oldest first. */
  List<Entry> open() {
    return database.all(
        "SELECT * FROM sandboxes WHERE closed_at IS NULL ORDER BY created_at, id",
        query -> {},
        row -> new Entry(sandbox(row), machine(row)));
  }

  private static SandboxRecord sandbox(ResultSet row) throws SQLException {
    long lifetime = row.getLong("max_lifetime");
    boolean endless = row.wasNull();
    return new SandboxRecord(
        new SandboxId(row.getString("id")),
        row.getString("owner"),
        row.getString("template"),
        shape(row),
        egress(row.getString("egress")),
        Duration.ofMillis(row.getLong("idle_timeout")),
        endless ? Optional.empty() : Optional.of(Duration.ofMillis(lifetime)),
        row.getInt("persistent") == 1,
        new SandboxId(row.getString("family")),
        Optional.ofNullable(row.getString("parent")).map(SandboxId::new),
        marks(row.getString("metadata")),
        Instant.ofEpochMilli(row.getLong("created_at")));
  }

  private static Optional<MachineRecord> machine(ResultSet row) throws SQLException {
    String microVm = row.getString("microvm");
    if (microVm == null) {
      return Optional.empty();
    }
    return Optional.of(
        new MachineRecord(
            new MicroVmId(microVm),
            ResyncToken.parse(row.getString("resync")),
            row.getInt("generation"),
            Line.parse(row.getString("line")),
            row.getInt("confirmed") == 1));
  }

  static MachineShape shape(ResultSet row) throws SQLException {
    return new MachineShape(row.getInt("cpus"), row.getInt("memory_mib"), row.getInt("disk_mib"));
  }

  static String marks(Map<String, String> metadata) {
    return JSON.writeValueAsString(metadata);
  }

  static Map<String, String> marks(String json) {
    return JSON.readValue(json, MARKS);
  }

  private static void setOrNull(PreparedStatement statement, int index, Optional<Long> value)
      throws SQLException {
    if (value.isPresent()) {
      statement.setLong(index, value.get());
    } else {
      statement.setNull(index, Types.BIGINT);
    }
  }

  static String egressWord(Egress egress) {
    return switch (egress) {
      case Egress.Outside() -> "outside";
      case Egress.Nothing() -> "nothing";
    };
  }

  static Egress egress(String word) {
    return word.equals("outside") ? new Egress.Outside() : new Egress.Nothing();
  }
}
