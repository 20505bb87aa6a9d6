package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.engine.qemu.QemuEngine;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/**
 * What becomes of sandboxes whose server is killed. Needs root and a guest image, which {@code
 * PODFLARE_IMAGE_DIR} names.
 */
@Tag("machine")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class AfterTheServersDeathTest {

  /** More than one finds with {@code -Dpodflare.kills=50}. */
  private static final int KILLS = Integer.getInteger("podflare.kills", 4);

  private Path engineDirectory;
  private Path data;
  private DoomedHost doomed;
  private QemuEngine engine;
  private HostUnderTest host;

  @BeforeAll
  void makeDirectories(@TempDir Path directory) throws Exception {
    engineDirectory = directory.resolve("engine");
    data = Files.createDirectory(directory.resolve("data"));
  }

  private void startDoomed() throws Exception {
    doomed = new DoomedHost(engineDirectory, data);
  }

  private void killAndRestart() throws Exception {
    doomed.kill();
    engine = QemuEngine.in(engineDirectory);
    host = new HostUnderTest(engine, data);
  }

  @AfterEach
  void stop() throws Exception {
    doomed.close();
    if (host == null) {
      engine = QemuEngine.in(engineDirectory);
      var _ = engine.reap();
    } else {
      host.close();
      host = null;
    }
    engine.close();
    try (Stream<Path> left = Files.list(engineDirectory.resolve("vm"))) {
      assertThat(left).isEmpty();
    }
  }

  @Test
  void sandboxes_go_on_with_what_runs_in_them() throws Exception {
    startDoomed();
    SandboxId ready = doomed.create();
    doomed.ask("run " + ready + " x = 41");
    SandboxId child = new SandboxId(doomed.ask("fork " + ready));
    SandboxId running = doomed.create();
    doomed.ask(
        "begin " + running + " import time; print('on', flush=True); time.sleep(4); done = 'yes'");
    killAndRestart();
    assertThat(host.python(ready, "x")).isEqualTo("41");
    assertThat(host.python(child, "x + 1")).isEqualTo("42");
    assertThat(host.python(running, "done")).isEqualTo("yes");
    assertThat(host.sandboxes().family(child)).hasSize(2);
    assertThat(host.sandboxes().fork(child, 1).children()).hasSize(1);
  }

  @Test
  void code_of_before_can_be_interrupted() throws Exception {
    startDoomed();
    SandboxId running = doomed.create();
    doomed.ask("begin " + running + " import time; print('on', flush=True); time.sleep(600)");
    killAndRestart();
    host.sandboxes().interrupt(running);
    assertThat(host.python(running, "1")).isEqualTo("1");
  }

  @Test
  void a_child_that_was_just_made_has_an_identity_of_its_own_or_is_not_there() throws Exception {
    startDoomed();
    SandboxId parent = doomed.create();
    SandboxId child = new SandboxId(doomed.ask("fork " + parent));
    killAndRestart();
    String random = "__import__('random').random()";
    assertThat(host.python(child, random)).isNotEqualTo(host.python(parent, random));
    assertThat(host.python(child, "__import__('socket').gethostname()"))
        .isEqualTo(child.value().substring(0, 12).replace('_', '-'));
  }

  @Test
  void a_merge_is_done_or_not_at_whatever_instant_the_server_dies() throws Exception {
    Random instants = new Random(7);
    for (int kill = 0; kill < KILLS; kill++) {
      startDoomed();
      SandboxId parent = doomed.create();
      doomed.ask("run " + parent + " x = 'old'");
      SandboxId winner = new SandboxId(doomed.ask("fork " + parent));
      doomed.ask("run " + winner + " x = 'new'");
      doomed.send("merge " + parent + " " + winner);
      Thread.sleep(Duration.ofMillis(instants.nextInt(60)));
      killAndRestart();
      boolean merged = host.sandboxes().find(winner).isEmpty();
      assertThat(host.python(parent, "x")).isEqualTo(merged ? "new" : "old");
      if (!merged) {
        assertThat(host.python(winner, "x")).isEqualTo("new");
      }
      stop();
    }
  }

  @Test
  void a_freeze_leaves_the_sandbox_or_the_space_at_whatever_instant_the_server_dies()
      throws Exception {
    Random instants = new Random(11);
    for (int kill = 0; kill < KILLS; kill++) {
      startDoomed();
      SandboxId id = doomed.create();
      doomed.ask("run " + id + " x = " + kill);
      doomed.send("freeze " + id);
      Thread.sleep(Duration.ofMillis(instants.nextInt(3000)));
      killAndRestart();
      boolean sandbox = host.sandboxes().find(id).isPresent();
      List<SpaceInfo> spaces = host.sandboxes().spaces("owner");
      assertThat(spaces).hasSize(sandbox ? 0 : 1);
      SandboxId alive = sandbox ? id : host.sandboxes().resume(spaces.getFirst().id()).id();
      assertThat(host.python(alive, "x")).isEqualTo(Integer.toString(kill));
      spaces.forEach(space -> host.sandboxes().deleteSpace(space.id()));
      stop();
    }
  }

  @Test
  void a_sandbox_that_sleeps_sleeps_on() throws Exception {
    startDoomed();
    SandboxId id = new SandboxId(doomed.ask("create-persistent 1000"));
    doomed.ask("run " + id + " x = 3");
    long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    while (!hasSpace()) {
      assertThat(System.nanoTime()).isLessThan(deadline);
      Thread.sleep(20);
    }
    killAndRestart();
    assertThat(host.python(id, "x")).isEqualTo("3");
  }

  private boolean hasSpace() {
    try (Database database = Database.open(data.resolve("podflare.db"))) {
      return !new SpaceRegistry(database).all().isEmpty();
    }
  }
}
