package dev.podflare.host;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ProcessIdentityTest {

  private static ProcessIdentity self() {
    return ProcessIdentity.of(ProcessHandle.current().pid()).orElseThrow();
  }

  @Test
  void a_running_process_is_alive_and_has_its_handle() {
    assertThat(self().isAlive()).isTrue();
    assertThat(self().handle()).contains(ProcessHandle.current());
  }

  @Test
  void a_process_keeps_its_identity() {
    assertThat(self()).isEqualTo(self());
  }

  @Test
  void a_process_that_has_ended_is_not_alive() throws Exception {
    Process process = new ProcessBuilder("cat").start();
    ProcessIdentity identity = ProcessIdentity.of(process.pid()).orElseThrow();
    assertThat(identity.isAlive()).isTrue();
    process.getOutputStream().close();
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(identity.isAlive()).isFalse();
    assertThat(identity.handle()).isEmpty();
  }

  @Test
  void another_process_with_the_same_id_is_not_the_same() {
    ProcessIdentity earlier =
        new ProcessIdentity(self().pid(), self().startTicks() - 1, self().bootId());
    assertThat(earlier.isAlive()).isFalse();
    assertThat(earlier.handle()).isEmpty();
  }

  @Test
  void a_process_of_an_earlier_boot_is_not_the_same() {
    ProcessIdentity earlier =
        new ProcessIdentity(
            self().pid(), self().startTicks(), "00000000-0000-0000-0000-000000000000");
    assertThat(earlier.isAlive()).isFalse();
  }

  @Test
  void an_id_that_nobody_has_is_no_process() {
    assertThat(ProcessIdentity.of(Integer.MAX_VALUE)).isEmpty();
    assertThat(ProcessIdentity.of(-1)).isEmpty();
  }

  @Test
  void a_zombie_is_not_alive() throws Exception {
    Process parent =
        new ProcessBuilder(
                "python3",
                "-c",
                """
                import os, sys
                child = os.fork()
                if child == 0:
                    os._exit(0)
                os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # It stays a zombie.
                print(child, flush=True)
                sys.stdin.read()
                """)
            .start();
    try {
      long zombie = Long.parseLong(parent.inputReader().readLine());
      assertThat(Path.of("/proc/" + zombie)).isDirectory();
      assertThat(ProcessIdentity.of(zombie)).isEmpty();
    } finally {
      parent.destroyForcibly();
    }
  }

  @Test
  void a_name_with_brackets_and_spaces_does_not_shift_the_fields(@TempDir Path directory)
      throws Exception {
    Path program = directory.resolve("a) Z 1 (b) 2 3");
    Files.copy(Path.of("/bin/cat"), program);
    assertThat(program.toFile().setExecutable(true)).isTrue();
    Process plain = new ProcessBuilder("cat").start();
    Process odd = new ProcessBuilder(program.toString()).start();
    try {
      ProcessIdentity before = ProcessIdentity.of(plain.pid()).orElseThrow();
      ProcessIdentity after = ProcessIdentity.of(odd.pid()).orElseThrow();
      assertThat(after.startTicks()).isBetween(before.startTicks(), before.startTicks() + 6000);
      assertThat(after.isAlive()).isTrue();
    } finally {
      plain.destroyForcibly();
      odd.destroyForcibly();
    }
  }
}
