package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.engine.AgentProbe;
import dev.podflare.engine.BootImage;
import dev.podflare.engine.BootRequest;
import dev.podflare.engine.Egress;
import dev.podflare.engine.Exit;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.MicroVm;
import dev.podflare.engine.MicroVmId;
import dev.podflare.engine.Snapshot;
import java.io.BufferedReader;
import java.nio.file.Files;
import java.nio.file.Path;
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
      MicroVm running = engine.start(snapshot, new Egress.Nothing());
      MicroVm paused = engine.fork(running, new Egress.Outside(), 2).children().getLast();
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

  @Test
  void its_machines_go_on_and_can_be_forked_frozen_and_closed() throws Exception {
    List<MicroVmId> left = leftByAKilledServer();
    try (QemuEngine next = QemuEngine.in(directory)) {
      List<MicroVm> adopted = next.adopt(Set.copyOf(left));
      assertThat(adopted).extracting(MicroVm::id).containsExactlyInAnyOrderElementsOf(left);
      assertThat(next.reap()).doesNotContainAnyElementsOf(left);
      for (MicroVm machine : adopted) {
        try (AgentProbe agent = AgentProbe.on(machine)) {
          agent.ping();
        }
        try (MicroVm child = next.fork(machine, new Egress.Outside(), 1).children().getFirst();
            AgentProbe agent = AgentProbe.on(child)) {
          agent.ping();
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
