package dev.podflare.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * What every engine must do, beyond its signatures. An engine's module has one subclass that opens
 * it.
 *
 * <p>Runs on real microVMs, so it needs a guest image: {@code PODFLARE_IMAGE_DIR} names its
 * directory, which {@code ./podflare test} builds and sets.
 */
@Tag("machine")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(value = 180, unit = TimeUnit.SECONDS)
public abstract class EngineContract {

  private static final MachineShape SHAPE = new MachineShape(1, 512, 256);

  private Path directory;
  private Engine engine;
  private Snapshot snapshot;

  /** Opens the engine under test on an empty directory. */
  protected abstract Engine openEngine(Path directory) throws Exception;

  /** Kills the machine monitor of a microVM as a crash would. */
  protected abstract void crash(Engine engine, MicroVmId id) throws Exception;

  @BeforeAll
  void freezeOneMachine(@TempDir Path temporary) throws Exception {
    directory = temporary;
    engine = openEngine(directory.resolve("engine"));
    MicroVm booted = engine.boot(new BootRequest(MicroVmId.random(), image(), SHAPE));
    try (AgentProbe agent = AgentProbe.on(booted)) {
      agent.awaitHello();
    }
    snapshot = engine.freeze(booted, Files.createDirectory(directory.resolve("snapshot")));
    assertThat(booted.exit()).isDone();
  }

  @AfterAll
  void closeEngine() {
    engine.close();
  }

  private static BootImage image() {
    String named = System.getenv("PODFLARE_IMAGE_DIR");
    assertThat(named).as("PODFLARE_IMAGE_DIR, set by ./podflare test").isNotNull();
    Path image = Path.of(named);
    return new BootImage(
        image.resolve("vmlinuz"),
        image.resolve("initramfs.img"),
        image.resolve("rootfs.erofs"),
        "quiet random.trust_cpu=on");
  }

  @Test
  void a_clone_answers_with_the_memory_of_its_snapshot() throws Exception {
    try (MicroVm clone = engine.start(snapshot, new Egress.Outside());
        AgentProbe agent = AgentProbe.on(clone)) {
      agent.ping();
    }
  }

  @Test
  void clones_run_side_by_side_and_end_alone() throws Exception {
    try (MicroVm survivor = engine.start(snapshot, new Egress.Outside());
        AgentProbe agent = AgentProbe.on(survivor)) {
      try (MicroVm other = engine.start(snapshot, new Egress.Outside())) {
        assertThat(other.exit()).isNotDone();
      }
      agent.ping();
      assertThat(survivor.exit()).isNotDone();
    }
  }

  @Test
  void a_clone_does_not_change_its_snapshot() throws Exception {
    var memoryBefore = Files.getLastModifiedTime(snapshot.directory());
    try (MicroVm clone = engine.start(snapshot, new Egress.Outside());
        AgentProbe agent = AgentProbe.on(clone)) {
      agent.ping();
    }
    assertThat(engine.open(snapshot.directory())).isEqualTo(snapshot);
    assertThat(Files.getLastModifiedTime(snapshot.directory())).isEqualTo(memoryBefore);
  }

  @Test
  void a_paused_machine_goes_on_when_it_is_resumed() throws Exception {
    try (MicroVm clone = engine.start(snapshot, new Egress.Outside());
        AgentProbe agent = AgentProbe.on(clone)) {
      clone.pause();
      agent.sendPing();
      clone.resume();
      agent.awaitPong();
    }
  }

  @Test
  void closing_a_machine_tells_that_it_was_stopped_and_can_be_done_twice() throws Exception {
    MicroVm clone = engine.start(snapshot, new Egress.Outside());
    clone.close();
    clone.close();
    assertThat(clone.exit().join().cause()).isEqualTo(Exit.Cause.STOPPED);
    assertThatThrownBy(clone::pause)
        .isInstanceOfSatisfying(
            EngineException.class,
            gone -> assertThat(gone.kind()).isEqualTo(EngineException.Kind.GONE));
  }

  @Test
  void a_crash_of_the_monitor_is_told_soon_and_leaves_nothing() throws Exception {
    MicroVm clone = engine.start(snapshot, new Egress.Outside());
    crash(engine, clone.id());
    assertThat(clone.exit().get(60, TimeUnit.SECONDS).cause()).isEqualTo(Exit.Cause.CRASHED);
    assertThat(engine.reap()).isEmpty();
  }

  @Test
  void what_a_machine_uses_is_far_less_than_its_memory() throws Exception {
    try (MicroVm clone = engine.start(snapshot, new Egress.Outside());
        AgentProbe agent = AgentProbe.on(clone)) {
      agent.ping();
      assertThat(clone.usage().privateMemoryBytes()).isBetween(1L << 20, 128L << 20);
    }
  }

  @Test
  void the_network_policy_of_a_running_machine_can_be_changed() throws Exception {
    try (MicroVm clone = engine.start(snapshot, new Egress.Outside())) {
      clone.allow(new Egress.Nothing());
      clone.allow(new Egress.Outside());
    }
  }

  @Test
  void a_snapshot_whose_state_was_altered_is_refused() throws Exception {
    Path copy = Files.createDirectory(directory.resolve("altered"));
    try (var files = Files.newDirectoryStream(snapshot.directory())) {
      for (Path file : files) {
        Files.copy(file, copy.resolve(file.getFileName()), StandardCopyOption.COPY_ATTRIBUTES);
      }
    }
    flipOneBitOfTheState(copy);
    assertThatThrownBy(() -> engine.open(copy))
        .isInstanceOfSatisfying(
            EngineException.class,
            refused ->
                assertThat(refused.kind()).isEqualTo(EngineException.Kind.SNAPSHOT_MISMATCH));
  }

  private static void flipOneBitOfTheState(Path copy) throws IOException {
    Path state = copy.resolve("state");
    byte[] bytes = Files.readAllBytes(state);
    bytes[bytes.length / 2] ^= 1;
    Files.delete(state);
    Files.write(state, bytes);
  }

  @Test
  void a_directory_without_a_manifest_is_no_snapshot() throws Exception {
    Path empty = Files.createDirectory(directory.resolve("empty"));
    assertThatThrownBy(() -> engine.open(empty))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("not complete");
  }

  @Test
  void reaping_spares_the_machines_of_this_engine() throws Exception {
    try (MicroVm clone = engine.start(snapshot, new Egress.Outside());
        AgentProbe agent = AgentProbe.on(clone)) {
      assertThat(engine.reap()).isEqualTo(List.of());
      agent.ping();
    }
  }

  private Path newDirectory() throws IOException {
    return Files.createDirectory(directory.resolve("capture-" + MicroVmId.random()));
  }

  @Test
  void a_forked_machine_goes_on_and_so_do_its_copies() throws Exception {
    try (MicroVm parent = engine.start(snapshot, new Egress.Outside());
        AgentProbe agent = AgentProbe.on(parent)) {
      agent.ping();
      Fork fork = engine.fork(parent, new Egress.Nothing(), 3);
      agent.ping();
      assertThat(fork.children()).hasSize(3);
      assertThat(fork.pause()).isPositive();
      for (MicroVm child : fork.children()) {
        try (child;
            AgentProbe inChild = AgentProbe.on(child)) {
          inChild.ping();
        }
      }
      agent.ping();
    }
  }

  @Test
  void a_machine_of_many_generations_answers_as_the_first_one_did() throws Exception {
    MicroVm machine = engine.start(snapshot, new Egress.Outside());
    try {
      for (int generation = 0; generation < 8; generation++) {
        AgentProbe agent = AgentProbe.on(machine);
        agent.ping();
        MicroVm child = engine.fork(machine, new Egress.Outside(), 1).children().getFirst();
        agent.close();
        machine.close();
        machine = child;
      }
      try (AgentProbe agent = AgentProbe.on(machine)) {
        agent.ping();
      }
    } finally {
      machine.close();
    }
  }

  @Test
  void a_copy_lives_on_when_its_parent_is_gone() throws Exception {
    MicroVm child;
    try (MicroVm parent = engine.start(snapshot, new Egress.Outside())) {
      child = engine.fork(parent, new Egress.Outside(), 1).children().getFirst();
    }
    try (child;
        AgentProbe agent = AgentProbe.on(child)) {
      agent.ping();
    }
  }

  @Test
  void a_paused_machine_is_forked_and_stays_paused() throws Exception {
    try (MicroVm parent = engine.start(snapshot, new Egress.Outside());
        AgentProbe agent = AgentProbe.on(parent)) {
      agent.ping();
      parent.pause();
      try (MicroVm child = engine.fork(parent, new Egress.Outside(), 1).children().getFirst();
          AgentProbe inChild = AgentProbe.on(child)) {
        inChild.ping();
      }
      agent.sendPing();
      parent.resume();
      agent.awaitPong();
    }
  }

  @Test
  void machines_are_forked_from_a_zygote_that_stands_still() throws Exception {
    try (MicroVm zygote = engine.startZygote(snapshot, true);
        AgentProbe agent = AgentProbe.on(zygote)) {
      agent.ping();
      zygote.pause();
      for (int time = 0; time < 2; time++) {
        Fork fork = engine.fork(zygote, new Egress.Outside(), 2);
        for (MicroVm child : fork.children()) {
          try (child;
              AgentProbe inChild = AgentProbe.on(child)) {
            inChild.ping();
            try (MicroVm grandchild =
                    engine.fork(child, new Egress.Outside(), 1).children().getFirst();
                AgentProbe inGrandchild = AgentProbe.on(grandchild)) {
              inGrandchild.ping();
            }
          }
        }
      }
    }
  }

  @Test
  void a_machine_goes_on_when_its_freeze_fails() throws Exception {
    try (MicroVm parent = engine.start(snapshot, new Egress.Outside());
        AgentProbe agent = AgentProbe.on(parent)) {
      Path occupied = newDirectory();
      Files.writeString(occupied.resolve("state"), "not ours");
      assertThatThrownBy(() -> engine.freeze(parent, occupied)).isInstanceOf(EngineException.class);
      agent.ping();
      engine.fork(parent, new Egress.Outside(), 1).children().getFirst().close();
      agent.ping();
    }
  }

  @Test
  void a_frozen_clone_is_a_snapshot_that_opens_and_starts() throws Exception {
    Path place = newDirectory();
    MicroVm parent = engine.start(snapshot, new Egress.Outside());
    try (AgentProbe agent = AgentProbe.on(parent)) {
      agent.ping();
    }
    engine.freeze(parent, place);
    assertThat(parent.exit()).isDone();
    for (int time = 0; time < 2; time++) {
      try (MicroVm clone = engine.start(engine.open(place), new Egress.Outside());
          AgentProbe agent = AgentProbe.on(clone)) {
        agent.ping();
      }
    }
  }

  @Test
  void a_fork_is_frozen_with_what_its_ancestors_wrote() throws Exception {
    Path place = newDirectory();
    MicroVm child;
    try (MicroVm parent = engine.start(snapshot, new Egress.Outside());
        AgentProbe agent = AgentProbe.on(parent)) {
      agent.ping();
      child = engine.fork(parent, new Egress.Outside(), 1).children().getFirst();
    }
    engine.freeze(child, place);
    try (MicroVm clone = engine.start(engine.open(place), new Egress.Outside());
        AgentProbe agent = AgentProbe.on(clone)) {
      agent.ping();
    }
  }
}
