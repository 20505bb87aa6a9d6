package dev.podflare.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class EnvironmentKeyTest {
  private static final EnvironmentKey KEY =
      EnvironmentKey.of(null, Map.of(EnvironmentKey.VARIABLE, "sk-ant-oat-1"));

  @TempDir private Path folder;

  @Test
  void it_comes_from_the_environment_or_from_a_file_of_its_owner() throws Exception {
    Path file = Files.writeString(folder.resolve("key"), "sk-ant-oat-2\n");
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
    assertThat(KEY.secret()).isEqualTo("sk-ant-oat-1");
    assertThat(EnvironmentKey.of(file, Map.of()).secret()).isEqualTo("sk-ant-oat-2");
  }

  @Test
  void a_file_that_others_can_read_is_refused() throws Exception {
    Path file = Files.writeString(folder.resolve("key"), "sk-ant-oat-2\n");
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r-----"));
    assertThatThrownBy(() -> EnvironmentKey.of(file, Map.of()))
        .hasMessageContaining("chmod 600")
        .hasMessageNotContaining("sk-ant");
  }

  @Test
  void without_one_it_says_where_to_get_it_and_where_to_put_it() {
    assertThatThrownBy(() -> EnvironmentKey.of(null, Map.of()))
        .hasMessageContaining("console")
        .hasMessageContaining("ANTHROPIC_ENVIRONMENT_KEY");
  }

  @Test
  void it_does_not_tell_itself() {
    assertThat(KEY.toString()).doesNotContain("sk-ant");
    assertThatThrownBy(
            () -> EnvironmentKey.of(null, Map.of(EnvironmentKey.VARIABLE, "sk-ant\nx: y")))
        .hasMessageNotContaining("sk-ant");
  }

  private static EnvironmentWorker.Settings settings(String provider, String environment) {
    return new EnvironmentWorker.Settings(
        ProviderAddress.of(provider, false, null),
        environment,
        KEY,
        4,
        Duration.ofMinutes(1),
        null,
        true,
        Duration.ofHours(1),
        Set.of(),
        GitHost.of(GitHost.USUAL, null, null),
        Path.of("cache"),
        null);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "http://api.example",
        "http://127.0.0.1.example",
        "ftp://127.0.0.1",
        "api.example",
        "https://user@api.example",
        "https://api.example?x=1"
      })
  void it_is_sent_to_no_address_where_others_could_read_it(String address) {
    assertThatThrownBy(() -> settings(address, "env_1"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(address);
  }

  @Test
  void https_and_this_machine_are_good_addresses() {
    assertThat(settings("https://api.example/base", "env_1").maxSessions()).isEqualTo(4);
    assertThat(settings("http://127.0.0.1:9", "env_1").maxSessions()).isEqualTo(4);
    assertThatThrownBy(() -> settings("https://api.example", "../x"))
        .hasMessageContaining("is no id");
  }
}
