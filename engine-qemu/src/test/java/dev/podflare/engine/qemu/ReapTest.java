package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.engine.BootImage;
import dev.podflare.engine.BootRequest;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.MicroVm;
import dev.podflare.engine.MicroVmId;
import dev.podflare.host.ControlGroup;
import dev.podflare.host.Lease;
import dev.podflare.host.SandboxNetwork;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a server that was killed leaves, found by the next one on the same directory. */
@Tag("machine")
class ReapTest {

  private static BootImage image() {
    Path image = Path.of(System.getenv("PODFLARE_IMAGE_DIR"));
    return new BootImage(
        image.resolve("vmlinuz"),
        image.resolve("initramfs.img"),
        image.resolve("rootfs.erofs"),
        "quiet");
  }

  /** A server that boots one machine, says its id, and never ends by itself. */
  static final class Server {

    private Server() {}

    public static void main(String[] arguments) throws Exception {
      QemuEngine engine = QemuEngine.in(Path.of(arguments[0]));
      MachineShape shape = new MachineShape(1, 256, 64);
      MicroVm left = engine.boot(new BootRequest(MicroVmId.random(), image(), shape));
      System.out.println(left.id());
      left.exit().join();
    }
  }

  @Test
  void the_next_server_ends_what_a_killed_one_left_and_frees_what_it_held(@TempDir Path directory)
      throws Exception {
    Process server =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Server.class.getName(),
                directory.toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    MicroVmId left;
    try {
      left = new MicroVmId(server.inputReader().readLine());
    } finally {
      server.destroyForcibly();
    }
    assertThat(server.waitFor(60, TimeUnit.SECONDS)).isTrue();

    VmDirectory files = new VmDirectory(directory.resolve("vm").resolve(left.value()));
    Journal journal = Journal.read(files.journal()).orElseThrow();
    SandboxNetwork network = SandboxNetwork.existing(new Lease(journal.lease()));
    assertThat(journal.process().isAlive()).isTrue();
    assertThat(network.namespace()).exists();

    try (QemuEngine next = QemuEngine.in(directory)) {
      assertThat(next.reap()).containsExactly(left);
      assertThat(journal.process().isAlive()).isFalse();
      assertThat(files.path()).doesNotExist();
      assertThat(ControlGroup.existing(left.value()).procsFiles()).isEmpty();
      assertThat(next.reap()).isEmpty();
    }
  }

  @Test
  void a_directory_whose_machine_had_taken_nothing_yet_is_removed(@TempDir Path directory)
      throws Exception {
    try (QemuEngine engine = QemuEngine.in(directory)) {
      VmDirectory begun = new VmDirectory(directory.resolve("vm/" + MicroVmId.random().value()));
      begun.create();
      Files.writeString(begun.bootDisk(), "half of it");
      assertThat(engine.reap()).isEmpty();
      assertThat(begun.path()).doesNotExist();
    }
  }

  @Test
  void a_lease_that_was_journalled_before_the_network_was_made_is_given_back(
      @TempDir Path directory) throws Exception {
    try (QemuEngine engine = QemuEngine.in(directory)) {
      VmDirectory begun = new VmDirectory(directory.resolve("vm/" + MicroVmId.random().value()));
      begun.create();
      Lease lease = Lease.take(begun.path());
      new Journal(lease.number(), null, null, null, false).writeTo(begun.journal());
      assertThat(engine.reap()).isEmpty();
      assertThat(begun.path()).doesNotExist();
      Path file = Path.of("/run/podflare/leases", Integer.toString(lease.number()));
      assertThat(Files.exists(file) ? Files.readString(file) : "")
          .isNotEqualTo(begun.path().toString());
    }
  }
}
