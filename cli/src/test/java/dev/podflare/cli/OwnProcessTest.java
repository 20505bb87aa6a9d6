package dev.podflare.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.cli.client.CommandFailure;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What depends on the environment, so in a process with an environment of its own. */
class OwnProcessTest {

  @TempDir private Path directory;

  private record Ended(int code, String out, String error) {}

  private Ended run(Class<?> main, Map<String, String> environment, String... arguments)
      throws Exception {
    List<String> words =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                main.getName()));
    words.addAll(List.of(arguments));
    Path out = directory.resolve("out");
    Path error = directory.resolve("error");
    ProcessBuilder builder =
        new ProcessBuilder(words).redirectOutput(out.toFile()).redirectError(error.toFile());
    builder.environment().keySet().removeIf(name -> name.startsWith("PODFLARE_"));
    builder.environment().put("XDG_CONFIG_HOME", directory.resolve("config").toString());
    builder.environment().putAll(environment);
    Process process = builder.start();
    try {
      assertThat(process.waitFor(120, TimeUnit.SECONDS)).isTrue();
    } finally {
      process.destroyForcibly();
    }
    return new Ended(process.exitValue(), Files.readString(out), Files.readString(error));
  }

  private Ended up(Map<String, String> environment, String... more) throws Exception {
    List<String> arguments =
        new ArrayList<>(List.of("up", "--data-dir", directory.resolve("data").toString()));
    arguments.addAll(List.of(more));
    return run(Main.class, environment, arguments.toArray(String[]::new));
  }

  @Test
  void code_without_any_server_ends_with_3_and_the_remedy() throws Exception {
    Ended ended = run(Main.class, Map.of(), "exec", "1");
    assertThat(ended.code()).isEqualTo(3);
    assertThat(ended.error())
        .isEqualTo(
            "podflare: no server is configured: there is no --server, no PODFLARE_HOSTD_URL and no "
                + directory.resolve("config/podflare/config.json")
                + "; start one on this machine with: podflare up --detach\n");
  }

  @Test
  void the_server_of_the_environment_is_asked_and_no_other() throws Exception {
    for (String command : List.of("list", "status", "doctor")) {
      Ended ended =
          run(
              Main.class,
              Map.of("PODFLARE_HOSTD_URL", "http://127.0.0.1:9", "PODFLARE_API_KEY", "k"),
              command);
      assertThat(ended.out() + ended.error())
          .as(command)
          .contains("the server at http://127.0.0.1:9 (from PODFLARE_HOSTD_URL) can't be reached");
    }
  }

  @Test
  void a_wrong_address_stops_the_start() throws Exception {
    Ended ended = up(Map.of("PODFLARE_HOSTD_ADDR", "nowhere"));
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.error())
        .isEqualTo("podflare: --addr must be HOST:PORT, such as 127.0.0.1:7070, but is nowhere\n");
  }

  @Test
  void a_key_that_no_header_could_carry_stops_the_start() throws Exception {
    Ended ended = up(Map.of("PODFLARE_API_KEYS", "good,not good"));
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.error()).startsWith("podflare: PODFLARE_API_KEYS can't be used: ");
    assertThat(ended.error()).doesNotContain("not good", "\tat ");
  }

  @Test
  void an_address_that_others_reach_is_refused_without_keys() throws Exception {
    Ended ended = up(Map.of("PODFLARE_AUTH_DISABLED", "1"), "--addr", "0.0.0.0:0");
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.error()).startsWith("podflare: the server can't start: ");
    assertThat(ended.error().lines()).hasSize(1);
  }

  @Test
  void an_address_that_is_taken_stops_the_start_before_anything_is_built() throws Exception {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      Ended ended = up(Map.of(), "--addr", "127.0.0.1:" + taken.getLocalPort());
      assertThat(ended.code()).isEqualTo(1);
      assertThat(ended.error())
          .contains(
              "podflare: the server can't listen on 127.0.0.1:" + taken.getLocalPort(),
              "--addr HOST:PORT");
    }
  }

  @Test
  void a_log_level_that_is_unknown_stops_the_start() throws Exception {
    Ended ended = up(Map.of("PODFLARE_LOG_LEVEL", "loud"));
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.error())
        .isEqualTo("podflare: PODFLARE_LOG_LEVEL must be warning, info or debug\n");
  }

  @Test
  void a_missing_guest_image_stops_the_start_and_is_named() throws Exception {
    String none = directory.resolve("none").toString();
    Ended ended = up(Map.of("PODFLARE_IMAGE_DIR", none), "--addr", "127.0.0.1:0");
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.error())
        .isEqualTo("podflare: the server can't start: there is no guest image in " + none + "\n");
  }

  // ---- the log ----

  /** Says the same things in each process. */
  static final class Talker {

    private Talker() {}

    public static void main(String[] arguments) throws CommandFailure {
      ServerLog.begin();
      System.Logger ours = System.getLogger("dev.podflare.Talker");
      ours.log(System.Logger.Level.DEBUG, "a detail");
      ours.log(System.Logger.Level.INFO, "first line\nsecond \"line\"");
      ours.log(System.Logger.Level.ERROR, "it failed", new IllegalStateException("the reason why"));
      System.getLogger("io.other").log(System.Logger.Level.INFO, "not ours");
    }
  }

  @Test
  void as_json_each_message_is_one_line_with_its_cause() throws Exception {
    Ended ended = run(Talker.class, Map.of("PODFLARE_LOG_FORMAT", "json"));
    List<JsonNode> lines = ended.error().lines().map(JsonMapper.shared()::readTree).toList();
    assertThat(lines)
        .extracting(line -> line.path("message").asString())
        .containsExactly("first line\nsecond \"line\"", "it failed");
    assertThat(lines)
        .allSatisfy(line -> {
          assertThat(line.path("ts").asString()).matches("\\d{4}-\\d\\d-\\d\\dT.*Z");
          assertThat(line.path("logger").asString()).isEqualTo("dev.podflare.Talker");
        });
    assertThat(lines.getLast().path("cause").asString()).contains("the reason why");
  }

  @Test
  void as_text_the_level_decides_what_is_written() throws Exception {
    Ended quiet = run(Talker.class, Map.of("PODFLARE_LOG_LEVEL", "warning"));
    assertThat(quiet.error()).contains("it failed", "the reason why").doesNotContain("first line");
    Ended loud = run(Talker.class, Map.of("PODFLARE_LOG_LEVEL", "debug"));
    assertThat(loud.error()).contains("a detail", "first line").doesNotContain("not ours");
  }
}
