package dev.podflare.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What the command says and with which exit code it ends, without a server. */
class CommandLineTest {

  @TempDir private Path data;

  private static Ended run(String... arguments) {
    return Ended.of(arguments);
  }

  @Test
  void help_names_every_command_and_every_exit_code() {
    Ended ended = run("--help");
    assertThat(ended.code()).isZero();
    assertThat(ended.out().replaceAll("\\s+", " "))
        .contains("up", "down", "status", "exec", "doctor", "generate-completion")
        .contains("create", "list", "close", "fork", "tree", "diff", "merge")
        .contains("freeze", "spaces", "resume", "template", "mcp", "worker")
        .contains("0 done", "1 it failed", "2 the command line is wrong", "3 no server runs");
    assertThat(ended.error()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "up",
        "down",
        "status",
        "exec",
        "doctor",
        "create",
        "list",
        "close",
        "fork",
        "tree",
        "diff",
        "merge",
        "freeze",
        "spaces",
        "spaces delete",
        "resume",
        "template build",
        "template list",
        "template delete",
        "mcp",
        "worker anthropic",
        "execs",
        "attach",
      })
  void every_command_has_help(String command) {
    Ended ended = run((command + " --help").split(" "));
    assertThat(ended.code()).isZero();
    assertThat(ended.out()).startsWith("Usage: podflare " + command);
    assertThat(ended.out().contains("--data-dir"))
        .isEqualTo(List.of("up", "down").contains(command));
    assertThat(ended.out().contains("--server URL") || ended.out().contains("--server=URL"))
        .isEqualTo(!List.of("up", "down").contains(command));
  }

  @Test
  void it_tells_its_version() {
    Ended ended = run("--version");
    assertThat(ended.code()).isZero();
    assertThat(ended.out()).startsWith("podflare ");
  }

  @Test
  void without_a_command_it_says_what_to_do() {
    Ended ended = run();
    assertThat(ended.code()).isEqualTo(2);
    assertThat(ended.error())
        .isEqualTo("podflare: say what to do, for example: podflare up\nSee: podflare --help\n");
  }

  @Test
  void a_command_that_is_unknown_is_a_wrong_command_line() {
    Ended ended = run("stauts");
    assertThat(ended.code()).isEqualTo(2);
    assertThat(ended.error())
        .isEqualTo(
            "podflare: there is no command stauts; did you mean status?\nSee: podflare --help\n");
    assertThat(ended.out()).isEmpty();
  }

  @Test
  void an_option_that_is_unknown_is_a_wrong_command_line() {
    Ended ended = run("up", "--detatch");
    assertThat(ended.code()).isEqualTo(2);
    assertThat(ended.error())
        .isEqualTo(
            """
            podflare: there is no option --detatch; did you mean --detach?
            See: podflare up --help
            """);
  }

  @Test
  void code_is_needed_to_run_code() {
    assertThat(run("exec").code()).isEqualTo(2);
    assertThat(run("exec", "--language", "cobol", "1").error()).contains("cobol");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "fork",
        "fork 1 2",
        "fork 1 -n two",
        "fork 1 -n 2.5",
        "diff 1",
        "merge 1",
        "freeze",
        "merge 1 2 --on-conflict mine",
        "resume",
        "spaces delete",
        "close",
        "tree 1 2",
        "execs",
        "attach 1",
        "attach 1 2 --from start",
        "exec --detach 1",
        "exec --background 1",
        "create --cpus many",
        "create --env A",
        "worker",
        "worker anthropic --max-sessions many",
      })
  void arguments_that_are_missing_or_too_many_are_a_wrong_command_line(String line) {
    Ended ended = run(line.split(" "));
    assertThat(ended.code()).isEqualTo(2);
    assertThat(ended.error())
        .startsWith("podflare: ")
        .contains("\nSee: podflare " + line.substring(0, 4))
        .endsWith(" --help\n");
    assertThat(ended.error().lines()).hasSize(2);
    assertThat(ended.out()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "create --cpus many|--cpus must be a whole number, but is many",
        "list --server-timeout soon|--server-timeout must be a number, but is soon",
        "create --env A|--env must be NAME=VALUE, but is A",
        "create --memory|--memory needs a value",
        "merge|PARENT and WINNER are missing",
        "fork 1 2|there is one argument too many: 2",
        "merge 1 2 --on-conflict mine|--on-conflict must be fail or winner or parent, but is mine",
      })
  void a_wrong_command_line_is_told_in_the_words_that_were_typed(String line, String said) {
    assertThat(run(line.split(" ")).error()).startsWith("podflare: " + said + "\n");
  }

  @ParameterizedTest
  @ValueSource(strings = {"list", "status", "exec 1", "close 1", "template list", "mcp"})
  void only_up_and_down_take_an_address_and_a_directory(String line) {
    Ended address = run((line + " --addr 127.0.0.1:9997").split(" "));
    assertThat(address.code()).isEqualTo(2);
    assertThat(address.error())
        .startsWith(
            "podflare: --addr 127.0.0.1:9997 is an option of up and down; to name the server that is asked, use"
                + " --server http://127.0.0.1:9997\n");
    Ended directory = run((line + " --data-dir " + data).split(" "));
    assertThat(directory.code()).isEqualTo(2);
    assertThat(directory.error())
        .contains("--data-dir " + data + " is an option of up and down", "--server URL");
  }

  @ParameterizedTest
  @ValueSource(strings = {"exec 1", "list", "status", "tree", "create"})
  void a_server_that_is_gone_ends_with_3_and_is_named_with_where_its_address_is_from(String line) {
    Ended ended = run((line + " --server http://127.0.0.1:1").split(" "));
    assertThat(ended.code()).isEqualTo(3);
    assertThat(ended.error())
        .startsWith("podflare: the server at http://127.0.0.1:1 (from --server) can't be reached")
        .endsWith("start it with: podflare up --detach\n");
    assertThat(ended.out()).isEmpty();
  }

  @Test
  void the_doctor_speaks_json_too() {
    Ended ended = run("doctor", "--json", "--server", "127.0.0.1:1");
    JsonNode findings = JsonMapper.shared().readTree(ended.out());
    List<String> states = findings.findValuesAsString("state");
    assertThat(states).isNotEmpty();
    assertThat(ended.code()).isEqualTo(states.contains("MISSING") ? 1 : 0);
  }

  @Test
  void the_doctor_gives_each_finding_a_line() {
    Ended ended = run("doctor", "--server", "127.0.0.1:1");
    assertThat(ended.out())
        .contains("QEMU")
        .containsPattern("note +server +the server at http://127.0.0.1:1 .from --server. can't be");
  }

  @Test
  void completion_is_written_for_the_shell() {
    assertThat(run("generate-completion").out()).contains("complete -F", "doctor");
  }
}
