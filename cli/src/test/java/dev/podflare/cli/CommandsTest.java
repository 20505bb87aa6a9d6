package dev.podflare.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What commands ask of a server, and what they make of its answers. */
class CommandsTest {

  private static final String ONE = "sbx_3f" + "0".repeat(30);
  private static final String TWO = "sbx_77" + "0".repeat(30);
  private static final String LIST = "GET /v1/sandboxes?limit=1000";
  private static final String DONE =
      "{\"type\":\"exit\",\"data\":0,\"reason\":\"ok\",\"state_kept\":true}\n";

  private FakeServer server;

  @TempDir private Path folder;

  private static String sandbox(String id, String metadata) {
    return """
    {"id":"%s","state":"ready","template":"default","generation":0,"family":"%s","parent":null,
     "created_at":1,"last_used_at":1,"idle_timeout_seconds":300,"max_lifetime_seconds":null,
     "memory_used_bytes":2048,"cpu_time_ms":10,"cpus":1,"memory_mb":1024,"disk_mb":4096,
     "isolation":"kvm","egress":false,"persistent":false,"metadata":%s}\
    """
        .formatted(id, id, metadata);
  }

  @BeforeEach
  void start() throws Exception {
    server =
        new FakeServer()
            .answering(
                LIST,
                "{\"sandboxes\":["
                    + sandbox(ONE, "{\"name\":\"worker\",\"stage\":\"test\"}")
                    + ","
                    + sandbox(TWO, "{}")
                    + "]}")
            .answering("POST /v1/sandboxes/" + ONE + "/exec", " \n\n" + DONE);
  }

  @AfterEach
  void stop() {
    server.close();
  }

  private String lastCall() {
    return server.calls().getLast();
  }

  // ---- which sandbox ----

  @ParameterizedTest
  @ValueSource(strings = {"3f", "sbx_3f", "worker", "sbx_3f000000000000000000000000000000"})
  void a_sandbox_is_named_by_its_id_a_beginning_of_it_or_its_name(String given) {
    assertThat(server.run("exec", given, "print(1)").code()).isZero();
    assertThat(lastCall())
        .startsWith("POST /v1/sandboxes/" + ONE + "/exec ")
        .contains("\"code\":\"print(1)\"", "\"language\":\"python\"");
  }

  // ---- exec ----

  @Test
  void words_behind_two_dashes_are_a_command_with_its_arguments() {
    assertThat(server.run("exec", "3f", "--", "ls", "-la", "a b", "it's").code()).isZero();
    assertThat(lastCall())
        .contains("\"language\":\"bash\"", "\"code\":\"ls -la 'a b' 'it'\\\\''s'\"");
  }

  @Test
  void a_file_is_run_by_what_its_name_says() throws Exception {
    Path python = Files.writeString(folder.resolve("a.py"), "x = 1");
    Path bash = Files.writeString(folder.resolve("a.sh"), "ls");
    var _ = server.run("exec", "3f", python.toString());
    assertThat(lastCall()).contains("\"code\":\"x = 1\"", "\"language\":\"python\"");
    var _ = server.run("exec", "3f", bash.toString());
    assertThat(lastCall()).contains("\"code\":\"ls\"", "\"language\":\"bash\"");
    Ended ended = server.run("exec", "3f", folder + "/none.py");
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.error()).contains(folder + "/none.py: no such file");
  }

  @Test
  void directory_environment_and_time_limit_are_asked_for() {
    var _ = server.run("exec", "3f", "1", "--cwd", "/tmp", "-e", "A=b", "--timeout", "1.5");
    assertThat(lastCall())
        .contains("\"cwd\":\"/tmp\"", "\"env\":{\"A\":\"b\"}", "\"timeout_seconds\":1.5");
  }

  @ParameterizedTest
  @CsvSource({"exec 3f a b, too many words", "exec --sandbox 3f 3f 1, named twice"})
  void words_that_mean_nothing_are_refused(String line, String said) {
    Ended ended = server.run(line.split(" "));
    assertThat(ended.code()).isEqualTo(2);
    assertThat(ended.error()).contains(said);
    assertThat(server.calls()).isEmpty();
  }

  // ---- what there is ----

  @Test
  void a_list_shows_names_marks_and_a_blocked_network_and_is_filtered() {
    String all = server.run("list").out();
    assertThat(all.lines().findFirst().orElseThrow())
        .matches("SANDBOX +NAME +STATE +TEMPLATE +GEN +AGE +LEFT +MEMORY +EGRESS +METADATA");
    assertThat(all).contains("worker", "none", "stage=test").doesNotContain("\033");
    assertThat(server.run("ls", "-q", "--metadata", "stage=test").out()).isEqualTo(ONE + "\n");
    assertThat(server.run("ps", "-q", "--state", "lost").out()).isEmpty();
    assertThat(server.run("ps", "--color", "always").out()).contains("\033[32mready\033[0m");
  }

  @Test
  void info_shows_limits_network_and_time_left() {
    server.answering("GET /v1/sandboxes/" + ONE, sandbox(ONE, "{\"name\":\"worker\",\"k\":\"v\"}"));
    assertThat(server.run("info", "worker").out())
        .contains(ONE, "1024 MiB memory", "egress     none", "is closed after 5 min", "k=v");
    assertThat(server.run("inspect", "worker", "--json").out()).contains("\"memory_mb\"");
  }

  // ---- close ----

  @Test
  void close_says_what_it_closed_beside_its_answer() {
    server.answering("DELETE /v1/sandboxes/" + ONE, 204, "");
    server.answering("DELETE /v1/sandboxes/" + TWO, 204, "");
    Ended one = server.run("rm", "worker");
    assertThat(one).isEqualTo(new Ended(0, "", "closed " + ONE + "\n"));
    assertThat(server.run("close", "--all").error())
        .isEqualTo("closed " + ONE + "\nclosed " + TWO + "\n");
    assertThat(server.run("close").code()).isEqualTo(2);
    assertThat(server.run("close", "--all", "3f").code()).isEqualTo(2);
  }

  @Test
  void interrupt_is_for_what_runs_or_for_one_exec() {
    server.answering("POST /v1/sandboxes/" + ONE + "/interrupt", 204, "");
    assertThat(server.run("interrupt", "worker").code()).isZero();
    String exec = "exe_" + "1".repeat(32);
    server.answering("POST /v1/sandboxes/" + ONE + "/execs/" + exec + "/interrupt", 204, "");
    assertThat(server.run("interrupt", "worker", exec).code()).isZero();
  }

  // ---- cp ----

  private static String file(String path) {
    return "/v1/sandboxes/" + ONE + "/files?path=" + path.replace("/", "%2F");
  }

  private static String listing(String path) {
    return "GET /v1/sandboxes/" + ONE + "/files/list?path=" + path.replace("/", "%2F");
  }

  @Test
  void a_folder_is_copied_into_a_sandbox_with_its_permissions() throws Exception {
    Path project = Files.createDirectories(folder.resolve("project/src")).getParent();
    Files.writeString(project.resolve("a.txt"), "one");
    Path script = Files.writeString(project.resolve("src/run"), "two");
    Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwxr-x--x"));
    Files.setPosixFilePermissions(
        project.resolve("a.txt"), PosixFilePermissions.fromString("rw-r--r--"));
    server.answering("PUT " + file("/root/work/a.txt") + "&mode=0644", "{}");
    server.answering("PUT " + file("/root/work/src/run") + "&mode=0751", "{}");
    Ended ended = server.run("cp", project.toString(), "worker:work");
    assertThat(ended).isEqualTo(new Ended(0, "", "copied 2 files, 6 B, to /root/work\n"));
    assertThat(server.calls())
        .contains(
            "PUT " + file("/root/work/a.txt") + "&mode=0644 one",
            "PUT " + file("/root/work/src/run") + "&mode=0751 two");
  }

  @Test
  void a_target_that_is_a_folder_gets_the_file_into_it() throws Exception {
    Path data = Files.writeString(folder.resolve("data.csv"), "1");
    Files.setPosixFilePermissions(data, PosixFilePermissions.fromString("rw-------"));
    server.answering(listing("/srv"), "{\"entries\":[],\"truncated\":false}");
    server.answering("PUT " + file("/srv/data.csv") + "&mode=0600", "{}");
    server.answering("PUT " + file("/root/data.csv") + "&mode=0600", "{}");
    assertThat(server.run("cp", data.toString(), "worker:/srv").code()).isZero();
    assertThat(server.run("cp", data.toString(), "worker:").error()).contains("/root/data.csv");
  }

  @Test
  void a_folder_is_copied_out_of_a_sandbox() throws Exception {
    server.answering(
        listing("/root/out"),
        """
        {"entries":[{"name":"a","type":"file","mode":"0755"},{"name":"d","type":"directory"},
         {"name":"link","type":"symlink"}],"truncated":false}\
        """);
    server.answering(
        listing("/root/out/d"),
        "{\"entries\":[{\"name\":\"b\",\"type\":\"file\",\"mode\":\"0600\"}],\"truncated\":false}");
    server.answering("GET " + file("/root/out/a"), "A");
    server.answering("GET " + file("/root/out/d/b"), "BB");
    Ended ended = server.run("cp", "worker:out", folder.toString());
    assertThat(ended.error()).isEqualTo("copied 2 files, 3 B, to " + folder + "/out\n");
    assertThat(folder.resolve("out/a")).hasContent("A").isExecutable();
    assertThat(folder.resolve("out/d/b")).hasContent("BB");
    assertThat(folder.resolve("out/link")).doesNotExist();
  }

  @ParameterizedTest
  @ValueSource(strings = {"../escaped", "..", "a/b", "", "."})
  void a_name_of_the_guest_never_leads_out_of_the_target(String name) throws Exception {
    Path target = Files.createDirectory(folder.resolve("target"));
    server.answering(
        listing("/root/out"),
        "{\"entries\":[{\"name\":\"" + name + "\",\"type\":\"file\"}],\"truncated\":false}");
    Ended ended = server.run("cp", "worker:out", target + "/");
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.error()).contains("can't be written here");
    assertThat(folder.resolve("escaped")).doesNotExist();
  }

  @Test
  void a_link_in_the_target_is_not_followed() throws Exception {
    Path outside = Files.createDirectory(folder.resolve("outside"));
    Path target = Files.createDirectories(folder.resolve("target/out"));
    Files.createSymbolicLink(target.resolve("d"), outside);
    server.answering(
        listing("/root/out"),
        "{\"entries\":[{\"name\":\"d\",\"type\":\"directory\"}],\"truncated\":false}");
    server.answering(
        listing("/root/out/d"),
        "{\"entries\":[{\"name\":\"b\",\"type\":\"file\"}],\"truncated\":false}");
    server.answering("GET " + file("/root/out/d/b"), "B");
    assertThat(server.run("cp", "worker:out", folder.resolve("target").toString()).code())
        .isEqualTo(1);
    assertThat(outside.resolve("b")).doesNotExist();
  }

  @Test
  void a_copy_needs_a_sandbox_on_one_side_and_a_file_on_the_other() {
    assertThat(server.run("cp", "a", "b").error()).contains("must be in a sandbox: ID:PATH");
    assertThat(server.run("cp", "worker:a", "3f:b").error()).contains("must be on this machine");
    Ended none = server.run("cp", folder + "/none", "worker:");
    assertThat(none.code()).isEqualTo(1);
    assertThat(none.error()).isEqualTo("podflare: " + folder + "/none: no such file\n");
  }

  // ---- other ----

  @Test
  void a_tree_is_drawn_from_a_closed_member_whose_id_is_cut_short() {
    String closed = "sbx_99" + "0".repeat(30);
    server.answering("GET /v1/spaces", "{\"spaces\":[]}");
    String family =
        """
        {"family":"%s","sandboxes":[{"id":"%s","parent":null,"generation":0,"created_at":1},
         {"id":"%s","parent":"%s","generation":1,"created_at":1,"closed_at":2000,"end":"closed"}]}\
        """
            .formatted(ONE, ONE, closed, ONE);
    server.answering("GET /v1/sandboxes/" + ONE + "/family", family);
    server.answering("GET /v1/sandboxes/" + TWO + "/family", "{\"sandboxes\":[]}");
    server.answering("GET /v1/sandboxes/" + closed + "/family", family);
    assertThat(server.run("tree", "sbx_99").out()).contains("sbx_990000", "closed");
    Ended none = server.run("tree", "sbx_123456");
    assertThat(none.code()).isEqualTo(1);
    assertThat(none.error()).contains("no sandbox of a family that is left begins with sbx_123456");
  }

  @Test
  void env_prints_what_a_shell_takes() {
    Ended ended = server.run("env");
    assertThat(ended.out()).matches("export PODFLARE_HOSTD_URL=http://127.0.0.1:\\d+\n(?s:.*)");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "claude-code|claude mcp add podflare --env PODFLARE_HOSTD_URL=",
        "claude-desktop|\"mcpServers\"",
        "cursor|\"mcpServers\"",
        "vscode|\"servers\"",
      })
  void mcp_prints_what_a_client_is_told(String client, String said) {
    Ended ended = server.run("mcp", "--config", client, "--template", "python-datasci");
    assertThat(ended.code()).isZero();
    assertThat(ended.out()).contains(said, "python-datasci", "PODFLARE_HOSTD_URL");
    assertThat(ended.error()).startsWith("podflare: for " + client + ": ");
  }

  @Test
  void completion_asks_for_names() {
    assertThat(server.run("complete", "sandboxes").out().lines())
        .containsExactlyInAnyOrder(ONE, TWO, "worker");
  }

  @Test
  void what_a_template_needs_is_looked_for_before_the_server_is_asked() {
    Ended ended = server.run("template", "build", "d", "--script", "/nope");
    assertThat(ended.error()).contains("--script");
  }
}
