package dev.podflare.engine.qemu;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.engine.AgentProbe;
import dev.podflare.engine.BootImage;
import dev.podflare.engine.BootRequest;
import dev.podflare.engine.Capture;
import dev.podflare.engine.Egress;
import dev.podflare.engine.Exit;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.MicroVm;
import dev.podflare.engine.MicroVmId;
import dev.podflare.engine.Snapshot;
import java.io.BufferedReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What a server finds that follows one that was killed. */
@Tag("machine")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(value = 180, unit = TimeUnit.SECONDS)
class AdoptTest {

  private static final MachineShape SHAPE = new MachineShape(1, 512, 256);

  private Path directory;
  private Path snapshot;

  @BeforeAll
  void freezeOneMachine(@TempDir Path temporary) throws Exception {
    directory = temporary.resolve("engine");
    snapshot = Files.createDirectory(temporary.resolve("snapshot"));
    Path image = Path.of(System.getenv("PODFLARE_IMAGE_DIR"));
    BootImage boot =
        new BootImage(
            image.resolve("vmlinuz"),
            image.resolve("initramfs.img"),
            image.resolve("rootfs.erofs"),
            "quiet random.trust_cpu=on");
    try (QemuEngine engine = QemuEngine.in(directory)) {
      MicroVm booted = engine.boot(new BootRequest(MicroVmId.random(), boot, SHAPE));
      try (AgentProbe agent = AgentProbe.on(booted)) {
        agent.awaitHello();
      }
      Snapshot _ = engine.freeze(booted, snapshot);
    }
  }

  /** A server that leaves a machine running and one paused in a cut, and never ends by itself. */
  static final class Server {

    private Server() {}

    public static void main(String[] arguments) throws Exception {
      QemuEngine engine = QemuEngine.in(Path.of(arguments[0]));
      Snapshot snapshot = engine.open(Path.of(arguments[1]));
      // Of two, so that it runs behind others.
      MicroVm running = engine.start(snapshot, new Egress.Nothing(), 2).getFirst();
      MicroVm paused = engine.start(snapshot, new Egress.Outside());
      Path place = Files.createTempDirectory(Path.of(arguments[0]), "capture");
      Capture _ = engine.capture(paused, place);
      paused.pause();
      System.out.println(running.id());
      System.out.println(paused.id());
      running.exit().join();
    }
  }

  private List<MicroVmId> leftByAKilledServer() throws Exception {
    Process server =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                Server.class.getName(),
                directory.toString(),
                snapshot.toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try (BufferedReader said = server.inputReader()) {
      return List.of(new MicroVmId(said.readLine()), new MicroVmId(said.readLine()));
    } finally {
      server.destroyForcibly();
      assertThat(server.waitFor(60, TimeUnit.SECONDS)).isTrue();
    }
  }

  private static final String USUAL = "0";
  private static final String IDLE = "5";

  /**
   * The scheduling policies of its monitor's threads, by their numbers in sched_setscheduler(2).
   */
  private Set<String> policies(MicroVm machine) throws Exception {
    VmDirectory files = new VmDirectory(directory.resolve("vm").resolve(machine.id().value()));
    long pid = requireNonNull(Journal.read(files.journal()).orElseThrow().process()).pid();
    Set<String> policies = new HashSet<>();
    try (var threads = Files.newDirectoryStream(Path.of("/proc/" + pid + "/task"))) {
      for (Path thread : threads) {
        String stat = Files.readString(thread.resolve("stat"));
        // Field 41 of proc_pid_stat(5); the name, field 2, may have blanks in it.
        policies.add(stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1)[38]);
      }
    }
    return policies;
  }

  @Test
  void its_machines_go_on_and_can_be_captured_frozen_and_closed() throws Exception {
    List<MicroVmId> left = leftByAKilledServer();
    try (QemuEngine next = QemuEngine.in(directory)) {
      List<MicroVm> adopted = next.adopt(Set.copyOf(left));
      assertThat(adopted).extracting(MicroVm::id).containsExactlyInAnyOrderElementsOf(left);
      assertThat(next.reap()).doesNotContainAnyElementsOf(left);
      for (MicroVm machine : adopted) {
        try (AgentProbe agent = AgentProbe.on(machine)) {
          agent.ping();
        }
        assertThat(policies(machine)).containsExactly(USUAL);
        Path place = Files.createTempDirectory(directory, "capture");
        try (MicroVm child =
                next.start(next.capture(machine, place).snapshot(), new Egress.Outside());
            AgentProbe agent = AgentProbe.on(child)) {
          agent.ping();
          assertThat(policies(child))
              .as("one that runs a guest goes before nobody")
              .containsExactly(USUAL);
        }
      }
      adopted.getFirst().close();
      assertThat(adopted.getFirst().exit().join().cause()).isEqualTo(Exit.Cause.STOPPED);
      Path space = Files.createTempDirectory(directory, "space");
      Snapshot _ = next.freeze(adopted.getLast(), space);
      assertThat(adopted.getLast().exit()).isDone();
      assertThat(next.open(space).shape()).isEqualTo(SHAPE);
    }
    try (var files = Files.newDirectoryStream(directory.resolve("vm"))) {
      assertThat(files).isEmpty();
    }
  }

  @Test
  void machines_that_start_together_run_behind_others_until_each_takes_its_full_share()
      throws Exception {
    try (QemuEngine engine = QemuEngine.in(directory)) {
      List<MicroVm> twins = engine.start(engine.open(snapshot), new Egress.Nothing(), 2);
      for (MicroVm twin : twins) {
        assertThat(policies(twin)).containsExactlyInAnyOrder(USUAL, IDLE);
        twin.takeFullShare();
        assertThat(policies(twin)).containsExactly(USUAL);
        try (AgentProbe agent = AgentProbe.on(twin)) {
          agent.ping();
        }
      }
    }
  }

  @Test
  void monitors_that_were_nothing_yet_are_ended() throws Exception {
    List<MicroVmId> left = leftByAKilledServer();
    try (QemuEngine next = QemuEngine.in(directory)) {
      List<MicroVmId> reaped = next.reap();
      assertThat(reaped).containsAll(left);
      assertThat(next.adopt(Set.copyOf(left))).isEmpty();
    }
  }

  @Test
  void machines_that_nobody_wants_are_left_to_be_ended() throws Exception {
    List<MicroVmId> left = leftByAKilledServer();
    try (QemuEngine next = QemuEngine.in(directory)) {
      assertThat(next.adopt(Set.of(left.getFirst())))
          .extracting(MicroVm::id)
          .containsExactly(left.getFirst());
      assertThat(next.reap()).contains(left.getLast()).doesNotContain(left.getFirst());
    }
  }
}
