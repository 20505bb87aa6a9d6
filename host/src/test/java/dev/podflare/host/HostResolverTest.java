package dev.podflare.host;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HostResolverTest {

  @TempDir private Path directory;

  private Path file(String name, String content) throws Exception {
    return Files.writeString(directory.resolve(name), content);
  }

  @Test
  void the_first_resolver_that_is_named_is_taken() throws Exception {
    Path file =
        file(
            "a",
            "# nameserver 192.0.2.9\nsearch example\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n");
    assertThat(SandboxNetwork.hostResolver(file)).contains("192.0.2.1");
  }

  @Test
  void one_on_the_loopback_or_without_ipv4_is_passed_over() throws Exception {
    Path file =
        file(
            "a",
            "nameserver 127.0.0.53\nnameserver ::1\nnameserver 2001:db8::1\nnameserver 192.0.2.2\n");
    assertThat(SandboxNetwork.hostResolver(file)).contains("192.0.2.2");
  }

  @Test
  void those_behind_the_hosts_own_resolver_are_found_in_its_own_file() throws Exception {
    Path stub = file("a", "nameserver 127.0.0.53\noptions edns0\n");
    Path behind = file("b", "nameserver 192.0.2.3\n");
    assertThat(SandboxNetwork.hostResolver(stub, behind)).contains("192.0.2.3");
  }

  @Test
  void spaces_and_comments_after_the_address_do_no_harm() throws Exception {
    Path file = file("a", "  nameserver\t192.0.2.4   # the router\n");
    assertThat(SandboxNetwork.hostResolver(file)).contains("192.0.2.4");
  }

  @Test
  void what_is_no_address_is_passed_over() throws Exception {
    Path file = file("a", "nameserver\nnameserver resolver.example\nnameserver 1.2.3.4; drop\n");
    assertThat(SandboxNetwork.hostResolver(file)).isEmpty();
  }

  @Test
  void a_host_without_the_files_has_none() throws Exception {
    assertThat(SandboxNetwork.hostResolver(directory.resolve("none"))).isEmpty();
  }

  @Property
  void every_address_off_the_loopback_is_taken_as_it_stands(
      @ForAll @IntRange(min = 1, max = 126) int a,
      @ForAll @IntRange(max = 255) int b,
      @ForAll @IntRange(max = 255) int c,
      @ForAll @IntRange(max = 255) int d)
      throws Exception {
    String address = a + "." + b + "." + c + "." + d;
    Path file = Files.createTempFile("resolv", ".conf");
    try {
      Files.writeString(file, "nameserver " + address + "\n");
      assertThat(SandboxNetwork.hostResolver(file)).contains(address);
    } finally {
      Files.delete(file);
    }
  }
}
