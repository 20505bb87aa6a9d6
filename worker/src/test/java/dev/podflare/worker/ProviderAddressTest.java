package dev.podflare.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ProviderAddressTest {
  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "http://10.1.2.3:8080",
        "http://172.31.0.1/agents",
        "http://192.168.1.9",
        "http://[fd00::1]:8080",
        "http://127.8.0.1"
      })
  void plain_http_to_a_private_address_must_be_asked_for(String url) {
    assertThatThrownBy(() -> ProviderAddress.of(url, false, null))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("--insecure");
    ProviderAddress asked = ProviderAddress.of(url, true, null);
    assertThat(asked).hasToString(url);
    assertThatCode(asked::requireSafe).doesNotThrowAnyException();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "http://203.0.113.9",
        "http://172.32.0.1",
        "http://[2001:db8::1]",
        "http://169.254.169.254",
        "http://0.0.0.0",
        "http://[fe80::1]"
      })
  void plain_http_to_any_other_address_is_refused_also_when_asked_for(String url) {
    assertThatThrownBy(() -> ProviderAddress.of(url, true, null))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("private address only");
  }

  @Test
  void plain_http_to_this_machine_needs_nothing() {
    assertThat(ProviderAddress.of("http://localhost:1", false, null).trust()).isNull();
  }

  @Test
  void verification_can_not_be_turned_off() {
    assertThatThrownBy(() -> ProviderAddress.of("https://agents.example", true, null))
        .hasMessageContaining("--ca-file");
    assertThatThrownBy(() -> ProviderAddress.of("http://localhost", false, Path.of("ca.pem")))
        .hasMessageContaining("--ca-file is of no use");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n"})
  void a_file_without_certificates_is_refused(String text) throws Exception {
    Path file = Files.writeString(folder.resolve("ca.pem"), text);
    assertThatThrownBy(() -> ProviderAddress.of("https://agents.example", false, file))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("ca.pem")
        .hasMessageContaining("BEGIN CERTIFICATE");
    assertThatThrownBy(
            () -> ProviderAddress.of("https://agents.example", false, folder.resolve("none")))
        .hasMessageContaining("BEGIN CERTIFICATE");
  }

  @ParameterizedTest
  @CsvSource({"10.0.0.1,true", "8.8.8.8,false", "::1,true", "fc00::2,true", "fec0::1,false"})
  void what_is_private(String address, boolean isPrivate) throws Exception {
    assertThat(ProviderAddress.isPrivate(InetAddress.getByName(address))).isEqualTo(isPrivate);
  }

  @Test
  void one_public_address_of_a_name_is_one_too_many() throws Exception {
    assertThat(
            ProviderAddress.isPrivate(
                InetAddress.getByName("10.0.0.1"), InetAddress.getByName("8.8.8.8")))
        .isFalse();
  }
}
