package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.Egress;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.MicroVmId;
import dev.podflare.guest.ResyncToken;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
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
import net.jqwik.api.lifecycle.AfterProperty;
import net.jqwik.api.lifecycle.BeforeProperty;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Which sandboxes there are and what they drive, on a real database and without machines. */
class OpenSandboxesTest {

  private static final ResyncToken RESYNC = ResyncToken.parse("ff" + "81".repeat(31));
  private static final Instant NOON = Instant.parse("2026-01-01T12:00:00Z");

  private final Timer timer = new Timer();
  private Path directory;
  private Database database;
  private ExecKeeping keeping;
  private OpenSandboxes open;

  @BeforeEach
  @BeforeProperty
  void openDatabase() throws Exception {
    directory = Files.createTempDirectory("open-sandboxes");
    database = Database.open(directory.resolve("podflare.db"));
    keeping = new ExecKeeping(directory, database, Clock.systemUTC(), timer);
    open = new OpenSandboxes(database, Clock.systemUTC());
  }

  @AfterEach
  @AfterProperty
  void closeDatabase() throws Exception {
    keeping.close();
    database.close();
    Directories.delete(directory);
  }

  private static Machine machine(int generation) {
    return new Machine(
        SandboxId.random(),
        new ScriptedMicroVm(),
        RESYNC,
        generation,
        Line.ORIGIN,
        Clock.systemUTC());
  }

  private Sandbox sandbox(SandboxId family) {
    Machine machine = machine(family.hashCode() & 7);
    SandboxRecord sandboxRecord =
        new SandboxRecord(
            machine.sandbox(),
            "owner",
            "default",
            new MachineShape(1, 1024, 4096),
            new Egress.Outside(),
            Duration.ofMinutes(5),
            Optional.empty(),
            true,
            family,
            Optional.empty(),
            Map.of(),
            NOON);
    return new Sandbox(
        sandboxRecord,
        new Sandbox.Condition.Awake(machine),
        machine.generation(),
        Clock.systemUTC(),
        timer,
        this::wake,
        keeping);
  }

  private void wake(Sandbox sandbox, SpaceId space) {
    open.waked(sandbox, machine(sandbox.generation()), space);
  }

  private SpaceInfo space(Sandbox sandbox, boolean held) {
    return new SpaceManifest(
            SpaceId.random(),
            "engine",
            sandbox.sandboxRecord(),
            held,
            RESYNC,
            sandbox.generation(),
            Line.ORIGIN,
            NOON)
        .info(1);
  }

  private List<Sandbox> family(int members) {
    SandboxId family = SandboxId.random();
    List<Sandbox> sandboxes = new ArrayList<>();
    for (int i = 0; i < members; i++) {
      sandboxes.add(sandbox(family));
    }
    open.add(sandboxes);
    return sandboxes;
  }

  private static Optional<MicroVmId> drivenBy(Sandbox sandbox) {
    return sandbox.condition() instanceof Sandbox.Condition.Awake(Machine machine)
        ? Optional.of(machine.microVm().id())
        : Optional.empty();
  }

  /** What a server that is started now would find, is what this one knows. */
  private void assertWrittenDown() {
    Map<SandboxId, Optional<MicroVmId>> known = new HashMap<>();
    open.all().forEach(sandbox -> known.put(sandbox.id(), drivenBy(sandbox)));
    Map<SandboxId, Optional<MicroVmId>> written = new HashMap<>();
    open.registry()
        .open()
        .forEach(entry ->
            written.put(entry.sandbox().id(), entry.machine().map(MachineRecord::microVm)));
    assertThat(written).isEqualTo(known);
    for (Sandbox sandbox : open.all()) {
      long beds =
          open.spaces().all().stream()
              .filter(space -> space.heldBy().equals(Optional.of(sandbox.id())))
              .count();
      assertThat(beds).isEqualTo(drivenBy(sandbox).isPresent() ? 0 : 1);
    }
    assertThat(known.values().stream().flatMap(Optional::stream)).doesNotHaveDuplicates();
  }

  private enum Change {
    CLOSE,
    SWAP,
    FREEZE,
    SLEEP,
    USE
  }

  private record Step(Change change, int one, int other) {}

  @Provide
  Arbitrary<List<Step>> steps() {
    Arbitrary<Integer> members = Arbitraries.integers().between(0, 4);
    return Combinators.combine(Arbitraries.of(Change.class), members, members)
        .as(Step::new)
        .list()
        .ofMaxSize(25);
  }

  @Property(tries = 40)
  void the_registry_has_every_change_and_nobody_shares_a_machine(@ForAll("steps") List<Step> steps)
      throws Exception {
    List<Sandbox> members = family(5);
    for (Step step : steps) {
      try {
        take(step, members);
      } catch (SandboxException refused) {
        assertThat(refused.reason()).isEqualTo(SandboxException.Reason.NO_SANDBOX);
      }
      assertWrittenDown();
    }
    members.forEach(member -> open.close(member.id(), "closed"));
  }

  private void take(Step step, List<Sandbox> members) throws InterruptedException {
    Sandbox one = members.get(step.one());
    Sandbox other = members.get(step.other());
    switch (step.change()) {
      case CLOSE -> {
        var _ = open.close(one.id(), "closed");
      }
      case USE -> one.use().close();
      case SWAP -> {
        if (one != other) {
          swap(one, other);
        }
      }
      case FREEZE, SLEEP -> {
        try (Sandbox.Turn turn = one.turn();
            Sandbox.Standstill still = one.standstill(turn)) {
          Machine frozen = still.machine();
          open.frozen(one, space(one, step.change() == Change.SLEEP));
          frozen.close();
        }
      }
    }
  }

  private void swap(Sandbox parent, Sandbox winner) throws InterruptedException {
    boolean parentFirst = parent.id().value().compareTo(winner.id().value()) < 0;
    Sandbox lower = parentFirst ? parent : winner;
    Sandbox upper = parentFirst ? winner : parent;
    try (Sandbox.Turn lowerTurn = lower.turn();
        Sandbox.Turn upperTurn = upper.turn();
        Sandbox.Standstill lowerStill = lower.standstill(lowerTurn);
        Sandbox.Standstill upperStill = upper.standstill(upperTurn)) {
      open.swap(parentFirst ? lowerStill : upperStill, parentFirst ? upperStill : lowerStill)
          .close();
    }
  }

  @Test
  void of_changes_at_the_same_time_one_comes_first_and_the_others_see_it() throws Exception {
    for (int round = 0; round < 20; round++) {
      List<Sandbox> members = family(3);
      CountDownLatch start = new CountDownLatch(1);
      try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
        List<Future<?>> changes = new ArrayList<>();
        for (Step step :
            List.of(
                new Step(Change.SWAP, 0, 1),
                new Step(Change.SWAP, 1, 0),
                new Step(Change.SWAP, 2, 1),
                new Step(Change.SLEEP, 1, 1),
                new Step(Change.FREEZE, 2, 2),
                new Step(Change.USE, 0, 0),
                new Step(Change.USE, 1, 1),
                new Step(Change.CLOSE, 2, 2))) {
          changes.add(
              threads.submit(() -> {
                start.await();
                try {
                  take(step, members);
                } catch (SandboxException refused) {
                  assertThat(refused.reason()).isEqualTo(SandboxException.Reason.NO_SANDBOX);
                }
                return null;
              }));
        }
        start.countDown();
        for (Future<?> change : changes) {
          change.get(60, TimeUnit.SECONDS);
        }
      }
      assertWrittenDown();
    }
  }

  @Test
  void of_several_sandboxes_all_are_added_or_none() {
    List<Sandbox> members = family(2);
    Sandbox fresh = sandbox(members.getFirst().id());
    assertThatThrownBy(() -> open.add(List.of(fresh, members.getFirst())))
        .isInstanceOf(Database.DatabaseException.class);
    assertThat(open.find(fresh.id())).isEmpty();
    assertThat(open.registry().ownerEver(fresh.id())).isEmpty();
    assertWrittenDown();
  }

  @Test
  void a_server_that_stops_takes_no_more() {
    open.takeNoMore();
    assertThatThrownBy(() -> family(1))
        .isInstanceOfSatisfying(
            SandboxException.class,
            refused -> assertThat(refused.code()).isEqualTo("shutting_down"));
    assertThat(open.registry().open()).isEmpty();
  }
}
