package dev.podflare.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Credentials;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KeyRingTest {

  @TempDir private Path data;

  @Test
  void the_first_start_makes_a_key_of_its_own() throws Exception {
    String own = KeyRing.at(data).own();
    assertThat(own).matches("pf_live_[0-9a-f]{64}");
    assertThat(KeyRing.at(Files.createDirectory(data.resolve("other"))).own()).isNotEqualTo(own);
  }

  @Test
  void later_starts_keep_the_key() throws Exception {
    String own = KeyRing.at(data).own();
    new Credentials("http://127.0.0.1:1", own).writeTo(Credentials.serverFile(data));
    assertThat(KeyRing.at(data).own()).isEqualTo(own);
  }

  @Test
  void credentials_that_are_damaged_stop_the_start_and_are_not_replaced() throws Exception {
    Files.writeString(Credentials.serverFile(data), "{");
    assertThatThrownBy(() -> KeyRing.at(data)).isInstanceOf(CommandFailure.class);
    assertThat(Credentials.serverFile(data)).hasContent("{");
  }
}
