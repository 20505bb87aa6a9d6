package dev.podflare.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import org.junit.jupiter.api.Test;

class CommandTest {

  @Test
  void what_it_wrote_is_given_without_white_space_at_the_ends() throws Exception {
    assertThat(Command.of("echo", " a  b ").run()).isEqualTo("a  b");
  }

  @Test
  void it_reads_what_is_given_to_it() throws Exception {
    assertThat(Command.of("cat").run("one\ntwo\n")).isEqualTo("one\ntwo");
    assertThat(Command.of("cat").run()).isEmpty();
  }

  @Test
  void its_words_are_not_read_by_a_shell() throws Exception {
    assertThat(Command.of("echo", "$HOME", "; exit 1").run()).isEqualTo("$HOME ; exit 1");
  }

  @Test
  void a_failure_tells_the_command_its_code_and_what_it_said() {
    assertThatThrownBy(() -> Command.of("sh", "-c", "echo no such luck >&2; exit 3").run())
        .isInstanceOf(HostException.class)
        .hasMessageStartingWith("sh -c ")
        .hasMessageEndingWith("failed with code 3: no such luck");
  }

  @Test
  void a_program_that_fails_before_it_has_read_all_still_says_why() {
    assertThatThrownBy(
            () -> Command.of("sh", "-c", "echo bad line; exit 2").run("x".repeat(1 << 20)))
        .isInstanceOf(HostException.class)
        .hasMessageEndingWith("failed with code 2: bad line");
  }

  @Test
  void a_program_that_is_not_there_is_named() {
    assertThatThrownBy(() -> Command.of("podflare-no-such-program", "x").run())
        .isInstanceOf(HostException.class)
        .hasMessage("podflare-no-such-program can't be started; is it installed?");
  }

  @Test
  void a_program_that_does_not_end_is_ended_at_its_deadline() {
    assertThatThrownBy(() -> Command.of("sleep", "1000").within(Duration.ofMillis(100)).run())
        .isInstanceOf(HostException.class)
        .hasMessage("sleep 1000 did not end within 100 ms");
  }

  @Test
  void the_deadline_is_for_its_children_too() {
    assertThatThrownBy(
            () -> Command.of("sh", "-c", "sleep 1000; true").within(Duration.ofMillis(300)).run())
        .isInstanceOf(HostException.class)
        .hasMessageEndingWith("did not end within 300 ms");
  }

  @Test
  void what_is_too_long_is_an_error_and_not_cut() throws Exception {
    assertThat(Command.of("sh", "-c", "yes | head -c 65536 | tr '\\n' y").run()).hasSize(65536);
    assertThatThrownBy(() -> Command.of("sh", "-c", "yes | head -c 65537").run())
        .isInstanceOf(HostException.class)
        .hasMessageContaining("more than 65536 bytes");
    assertThatThrownBy(() -> Command.of("yes").run())
        .isInstanceOf(HostException.class)
        .hasMessage("yes wrote more than 65536 bytes");
  }
}
