package dev.podflare.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.cli.client.CommandFailure;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

class ServerOptionsTest {

  private static ServerOptions of(String... arguments) {
    ServerOptions options = new ServerOptions();
    new CommandLine(options).parseArgs(arguments);
    return options;
  }

  @ParameterizedTest
  @CsvSource({
    "127.0.0.1:7070, 127.0.0.1, 7070",
    "0.0.0.0:80, 0.0.0.0, 80",
    "localhost:0, 127.0.0.1, 0",
    "[::1]:7070, 0:0:0:0:0:0:0:1, 7070",
    "::1:7070, 0:0:0:0:0:0:0:1, 7070",
    "[::]:65535, 0:0:0:0:0:0:0:0, 65535"
  })
  void an_address_is_a_host_and_a_port(String text, String host, int port) throws Exception {
    InetSocketAddress address = of("--addr", text).address();
    assertThat(address.getAddress().getHostAddress()).isEqualTo(host);
    assertThat(address.getPort()).isEqualTo(port);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        ":7070",
        "7070",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:port",
        "[::1]",
        "127.0.0.1:-1",
        "127.0.0.1:65536",
        "127.0.0.1:99999",
        "127.0.0.1:070700",
        "127.0.0.1:7070 ",
        "127.0.0.1:\u0667\u0660\u0667\u0660"
      })
  void what_is_no_address_is_refused_with_an_example(String text) {
    assertThatThrownBy(() -> of("--addr", text).address())
        .isInstanceOf(CommandFailure.class)
        .hasMessageStartingWith("--addr must be HOST:PORT, such as 127.0.0.1:7070, but is ");
  }

  @Property
  void every_port_can_be_named(@ForAll @IntRange(max = 65535) int port) throws Exception {
    assertThat(of("--addr", "127.0.0.1:" + port).address().getPort()).isEqualTo(port);
  }

  @Test
  void a_data_directory_is_made_absolute() {
    assertThat(of("--data-dir", "a/../b").dataDirectory()).isEqualTo(Path.of("b").toAbsolutePath());
  }
}
