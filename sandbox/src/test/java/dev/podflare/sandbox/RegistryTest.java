package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.Egress;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.MicroVmId;
import dev.podflare.guest.ResyncToken;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.arbitraries.StringArbitrary;
import net.jqwik.api.lifecycle.AfterProperty;
import net.jqwik.api.lifecycle.BeforeProperty;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The registry on a real database file. */
class RegistryTest {

  private static final ResyncToken RESYNC = ResyncToken.parse("ff" + "81".repeat(31));
  private static final Instant NOON = Instant.parse("2026-01-01T12:00:00Z");

  private Path directory;
  private Path file;

  @BeforeEach
  @BeforeProperty
  void makeDirectory() throws Exception {
    directory = Files.createTempDirectory("registry");
    file = directory.resolve("podflare.db");
  }

  @AfterEach
  @AfterProperty
  void deleteDirectory() throws Exception {
    Directories.delete(directory);
  }

  private static Registry.Entry sandbox(Instant createdAt) {
    SandboxId id = SandboxId.random();
    return new Registry.Entry(record(id, id, createdAt), Optional.of(machine(0, Line.ORIGIN)));
  }

  private static MachineRecord machine(int generation, Line line) {
    return new MachineRecord(MicroVmId.random(), RESYNC, generation, line, true);
  }

  private static SandboxRecord record(SandboxId id, SandboxId family, Instant createdAt) {
    return new SandboxRecord(
        id,
        "key_1",
        "default",
        new MachineShape(1, 1024, 4096),
        new Egress.Outside(),
        Duration.ofMinutes(5),
        Optional.empty(),
        false,
        family,
        Optional.empty(),
        Map.of(),
        createdAt);
  }

  @Provide
  Arbitrary<Registry.Entry> sandboxes() {
    Arbitrary<MachineShape> shapes =
        Combinators.combine(
                Arbitraries.integers().between(1, 64),
                Arbitraries.integers().between(256, 1 << 20),
                Arbitraries.integers().between(64, 1 << 20))
            .as(MachineShape::new);
    // Everything that Unicode has, but halves of characters: those the server turns down.
    StringArbitrary text =
        Arbitraries.strings().withCharRange('\0', '\ud7ff').withCharRange('\ue000', '\uffff');
    Arbitrary<Egress> egresses =
        Arbitraries.of(List.of(new Egress.Outside(), new Egress.Nothing()));
    Arbitrary<Line> lines =
        Arbitraries.longs()
            .between(0, 4_000_000_000_000_000_000L)
            .map(nanos -> new Line.Cut("c" + nanos % 7, Instant.ofEpochSecond(0, nanos)))
            .list()
            .ofMaxSize(4)
            .map(Line::new);
    Arbitrary<Optional<MachineRecord>> machines =
        Combinators.combine(Arbitraries.integers().between(0, 1000), lines)
            .as(RegistryTest::machine)
            .optional();
    return Combinators.combine(
            machines,
            Arbitraries.strings().alpha().ofMinLength(1),
            shapes,
            egresses,
            Arbitraries.longs().between(0, Duration.ofDays(30).toMillis()).map(Duration::ofMillis),
            Arbitraries.longs()
                .between(1, Duration.ofDays(30).toMillis())
                .map(Duration::ofMillis)
                .optional(),
            Arbitraries.maps(text.ofMaxLength(20), text.ofMaxLength(20)).ofMaxSize(5),
            Arbitraries.longs().between(0, 4_000_000_000_000L).map(Instant::ofEpochMilli))
        .as((machine, owner, shape, egress, idle, lifetime, metadata, created) ->
            new Registry.Entry(
                new SandboxRecord(
                    SandboxId.random(),
                    owner,
                    owner,
                    shape,
                    egress,
                    idle,
                    lifetime,
                    lifetime.isPresent(),
                    SandboxId.random(),
                    Optional.of(SandboxId.random()),
                    metadata,
                    created),
                machine));
  }

  @Property(tries = 60)
  void what_is_written_is_read_after_a_restart(@ForAll("sandboxes") Registry.Entry sandbox) {
    try (Database database = Database.open(file)) {
      Registry registry = new Registry(database);
      registry.add(sandbox);
    }
    try (Database database = Database.open(file)) {
      Registry registry = new Registry(database);
      assertThat(registry.open()).contains(sandbox);
      assertThat(registry.ownerEver(sandbox.sandbox().id())).contains(sandbox.sandbox().owner());
      registry.close(sandbox.sandbox().id(), NOON, "closed");
    }
  }

  @Test
  void a_fresh_one_has_no_sandboxes_and_knows_nobody() {
    try (Database database = Database.open(file)) {
      Registry registry = new Registry(database);
      assertThat(registry.open()).isEmpty();
      assertThat(registry.ownerEver(SandboxId.random())).isEmpty();
    }
  }

  @Test
  void open_sandboxes_are_listed_oldest_first() {
    Registry.Entry young = sandbox(NOON.plusSeconds(1));
    Registry.Entry old = sandbox(NOON);
    try (Database database = Database.open(file)) {
      Registry registry = new Registry(database);
      registry.add(young);
      registry.add(old);
      assertThat(registry.open()).containsExactly(old, young);
    }
  }

  @Test
  void a_closed_sandbox_is_open_no_more_but_its_owner_is_known_for_ever() {
    Registry.Entry sandbox = sandbox(NOON);
    try (Database database = Database.open(file)) {
      Registry registry = new Registry(database);
      registry.add(sandbox);
      registry.close(sandbox.sandbox().id(), NOON.plusSeconds(1), "idle_timeout");
      assertThat(registry.open()).isEmpty();
      assertThat(registry.ownerEver(sandbox.sandbox().id())).contains("key_1");
    }
    try (Database database = Database.open(file)) {
      Registry registry = new Registry(database);
      assertThat(registry.open()).isEmpty();
      assertThat(registry.ownerEver(sandbox.sandbox().id())).contains("key_1");
    }
  }

  @Test
  void the_first_reason_of_an_end_stays() throws Exception {
    Registry.Entry sandbox = sandbox(NOON);
    try (Database database = Database.open(file)) {
      Registry registry = new Registry(database);
      registry.add(sandbox);
      registry.close(sandbox.sandbox().id(), NOON.plusSeconds(1), "idle_timeout");
      registry.close(sandbox.sandbox().id(), NOON.plusSeconds(2), "closed");
      registry.close(SandboxId.random(), NOON, "closed");
    }
    assertThat(one("SELECT end_reason FROM sandboxes")).isEqualTo("idle_timeout");
    assertThat(one("SELECT closed_at FROM sandboxes"))
        .isEqualTo(Long.toString(NOON.plusSeconds(1).toEpochMilli()));
  }

  @Test
  void an_id_can_be_used_once_only() {
    Registry.Entry sandbox = sandbox(NOON);
    try (Database database = Database.open(file)) {
      Registry registry = new Registry(database);
      registry.add(sandbox);
      assertThatThrownBy(() -> registry.add(sandbox))
          .isInstanceOf(Database.DatabaseException.class);
      assertThat(registry.open()).containsExactly(sandbox);
    }
  }

  @Test
  void many_threads_may_write_at_once() throws Exception {
    try (Database database = Database.open(file);
        ExecutorService threads = Executors.newFixedThreadPool(8)) {
      Registry registry = new Registry(database);
      List<Callable<Void>> writers = new ArrayList<>();
      for (int writer = 0; writer < 8; writer++) {
        writers.add(() -> {
          for (int i = 0; i < 25; i++) {
            Registry.Entry sandbox = sandbox(NOON);
            registry.add(sandbox);
            if (i % 2 == 0) {
              registry.close(sandbox.sandbox().id(), NOON, "closed");
            }
          }
          return null;
        });
      }
      for (Future<Void> written : threads.invokeAll(writers, 50, TimeUnit.SECONDS)) {
        written.get();
      }
      assertThat(registry.open()).hasSize(8 * 12);
    }
  }

  // ---- migrations ----

  private String one(String sql) throws Exception {
    try (Connection database = DriverManager.getConnection("jdbc:sqlite:" + file);
        Statement statement = database.createStatement();
        ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return row.getString(1);
    }
  }

  private void change(String sql) throws Exception {
    try (Connection database = DriverManager.getConnection("jdbc:sqlite:" + file);
        Statement statement = database.createStatement()) {
      statement.execute(sql);
    }
  }

  @Test
  void each_step_is_taken_once_however_often_it_is_opened() throws Exception {
    for (int start = 0; start < 3; start++) {
      Database.open(file).close();
    }
    assertThat(one("SELECT COUNT(*) FROM migrations"))
        .isEqualTo(one("SELECT MAX(step) FROM migrations"));
  }

  @Test
  void a_database_of_a_newer_podflare_is_refused_and_not_changed() throws Exception {
    Database.open(file).close();
    change("INSERT INTO migrations (step) VALUES (999)");
    assertThatThrownBy(() -> Database.open(file))
        .isInstanceOf(Database.DatabaseException.class)
        .rootCause()
        .hasMessage("it was written by a newer Podflare; use that one, or another --data-dir");
    assertThat(one("SELECT MAX(step) FROM migrations")).isEqualTo("999");
  }

  @Test
  void a_step_that_fails_leaves_no_trace() throws Exception {
    change("CREATE TABLE sandboxes (something_else TEXT)");
    assertThatThrownBy(() -> Database.open(file)).isInstanceOf(Database.DatabaseException.class);
    assertThat(one("SELECT COUNT(*) FROM sqlite_master")).isEqualTo("1");
  }

  @Test
  void a_file_that_is_no_database_is_named() throws Exception {
    Files.writeString(
        file, "this is not a database, and long enough to be seen as none".repeat(99));
    assertThatThrownBy(() -> Database.open(file))
        .isInstanceOf(Database.DatabaseException.class)
        .hasMessage("the database " + file + " can't be opened");
  }
}
