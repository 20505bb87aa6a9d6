package dev.podflare.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.host.ProcessIdentity;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ServerRecordTest {

  @TempDir private Path data;

  private static ServerRecord of(ProcessIdentity process) {
    return new ServerRecord(process, "127.0.0.1:7070", "emulated", "no vmx", "QEMU 7.2", "0.1");
  }

  private static ProcessIdentity self() {
    return ProcessIdentity.of(ProcessHandle.current().pid()).orElseThrow();
  }

  @Test
  void a_server_that_runs_is_found() throws Exception {
    of(self()).writeTo(data);
    assertThat(ServerRecord.running(data)).contains(of(self()));
    assertThat(ServerRecord.require(data)).isEqualTo(of(self()));
  }

  @Test
  void the_record_of_a_server_that_was_killed_means_nothing() throws Exception {
    of(new ProcessIdentity(self().pid(), self().startTicks() - 1, self().bootId())).writeTo(data);
    assertThat(ServerRecord.running(data)).isEmpty();
  }

  @Test
  void a_server_that_stopped_has_removed_its_record() throws Exception {
    of(self()).writeTo(data);
    ServerRecord.removeFrom(data);
    ServerRecord.removeFrom(data);
    assertThat(ServerRecord.running(data)).isEmpty();
  }

  @Test
  void without_a_server_the_command_says_how_to_start_one() {
    assertThatThrownBy(() -> ServerRecord.require(data))
        .hasMessage("no server runs on " + data + "; start one with: podflare up --detach")
        .isInstanceOfSatisfying(
            CommandFailure.class,
            failure -> assertThat(failure.exitCode()).isEqualTo(CommandFailure.NO_SERVER));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "{", "{}", "[]", "{\"process\": null}", "{\"process\": {}}"})
  void a_damaged_record_is_named(String text) throws Exception {
    Files.writeString(data.resolve("server.json"), text);
    assertThatThrownBy(() -> ServerRecord.running(data))
        .isInstanceOf(CommandFailure.class)
        .hasMessageStartingWith(data.resolve("server.json") + " can't be read");
  }
}
