package dev.podflare.cli.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The rule of the SDKs. */
class ServerAddressTest {

  @TempDir private Path home;

  private Path file() {
    return home.resolve("config.json");
  }

  private void saved(String host, String key) throws Exception {
    new Credentials(host, key).writeTo(file());
  }

  @Test
  void the_option_comes_before_the_environment_and_that_before_the_file() throws Exception {
    saved("http://127.0.0.1:3", "key3");
    Map<String, String> environment =
        Map.of(
            "PODFLARE_HOSTD_URL",
            "http://b:2",
            "PODFLARE_HOST",
            "http://c:2",
            "PODFLARE_API_KEY",
            "key2");
    Path keyFile = Files.writeString(home.resolve("key"), "key1\n");
    assertThat(ServerAddress.require("http://a:1/", keyFile, environment, file()))
        .isEqualTo(new ServerAddress("http://a:1", "--server", "key1", "--api-key-file"));
    assertThat(ServerAddress.require(null, null, environment, file()))
        .isEqualTo(
            new ServerAddress("http://b:2", "PODFLARE_HOSTD_URL", "key2", "PODFLARE_API_KEY"));
    assertThat(ServerAddress.require(null, null, Map.of("PODFLARE_HOST", "c:2"), file()).url())
        .isEqualTo("http://c:2");
    assertThat(ServerAddress.require(null, null, Map.of(), file()))
        .isEqualTo(
            new ServerAddress("http://127.0.0.1:3", file().toString(), "key3", file().toString()));
  }

  @Test
  void the_key_of_the_file_is_never_sent_to_another_host() throws Exception {
    saved("http://127.0.0.1:7070", "secret");
    assertThat(ServerAddress.require("http://elsewhere:7070", null, Map.of(), file()).key())
        .isEmpty();
    assertThat(ServerAddress.require("http://127.0.0.1:7071", null, Map.of(), file()).key())
        .isEmpty();
    assertThat(ServerAddress.require("https://127.0.0.1:7070", null, Map.of(), file()).key())
        .isEmpty();
    assertThat(ServerAddress.require("localhost:7070", null, Map.of(), file()).key())
        .isEqualTo("secret");
  }

  @Test
  void a_key_alone_means_the_server_of_the_file_or_the_usual_one() throws Exception {
    Map<String, String> key = Map.of("PODFLARE_API_KEY", "k");
    assertThat(ServerAddress.require(null, null, key, file()).url())
        .isEqualTo("http://127.0.0.1:7070");
    saved("http://127.0.0.1:3", "key3");
    assertThat(ServerAddress.require(null, null, key, file()).url())
        .isEqualTo("http://127.0.0.1:3");
  }

  @Test
  void without_any_the_places_are_named_and_the_exit_code_is_3() {
    assertThatThrownBy(() -> ServerAddress.require(null, null, Map.of(), file()))
        .isInstanceOfSatisfying(
            CommandFailure.class,
            failure -> assertThat(failure.exitCode()).isEqualTo(CommandFailure.NO_SERVER))
        .hasMessageContainingAll(
            "--server", "PODFLARE_HOSTD_URL", file().toString(), "podflare up");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "nonsense:port",
        "ftp://a",
        "http://",
        "http://a?b",
        "http://u:p@a",
        "http://a:0",
        "a b",
        "http://a:99999"
      })
  void what_is_no_address_is_refused_with_its_source_and_an_example(String given) {
    assertThatThrownBy(() -> ServerAddress.require(given, null, Map.of(), file()))
        .hasMessageContainingAll("--server must be", "http://127.0.0.1:7070", given);
    assertThatThrownBy(
            () -> ServerAddress.require(null, null, Map.of("PODFLARE_HOST", given), file()))
        .hasMessageStartingWith("PODFLARE_HOST must be");
  }

  @ParameterizedTest
  @CsvSource({
    "http://127.0.0.1:1, true",
    "http://[::1]:1, true",
    "localhost, true",
    "http://10.0.0.1, false"
  })
  void only_a_server_on_this_machine_can_be_started_here(String given, boolean isLocal)
      throws Exception {
    assertThat(ServerAddress.require(given, null, Map.of(), file()).isLocal()).isEqualTo(isLocal);
  }

  @Test
  void a_key_with_a_blank_is_refused_without_being_shown() {
    assertThatThrownBy(
            () -> ServerAddress.require("a", null, Map.of("PODFLARE_API_KEY", "my secret"), file()))
        .hasMessageContaining("the API key from PODFLARE_API_KEY")
        .hasMessageNotContaining("secret");
  }

  @Test
  void a_key_file_that_is_not_there_or_empty_is_named() throws Exception {
    Path none = home.resolve("none");
    assertThatThrownBy(() -> ServerAddress.require("a", none, Map.of(), file()))
        .hasMessageContaining(none + ": no such file");
    Path empty = Files.createFile(home.resolve("empty"));
    assertThatThrownBy(() -> ServerAddress.require("a", empty, Map.of(), file()))
        .hasMessageContaining("an empty file: " + empty);
  }
}
