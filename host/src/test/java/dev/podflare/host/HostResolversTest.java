package dev.podflare.host;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HostResolversTest {

  @TempDir private Path directory;

  private Path file(String name, String content) throws Exception {
    return Files.writeString(directory.resolve(name), content);
  }

  private static List<String> addresses(Path... files) throws HostException {
    return new HostResolvers(List.of(files)).addresses();
  }

  @Test
  void resolvers_are_taken_in_their_order() throws Exception {
    Path file =
        file(
            "a",
            "# nameserver 192.0.2.9\nsearch example\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n");
    assertThat(addresses(file)).containsExactly("192.0.2.1", "192.0.2.2");
  }

  @Test
  void one_on_the_loopback_or_without_ipv4_is_passed_over() throws Exception {
    Path file =
        file(
            "a",
            "nameserver 127.0.0.53\nnameserver ::1\nnameserver 2001:db8::1\nnameserver 192.0.2.2\n");
    assertThat(addresses(file)).containsExactly("192.0.2.2");
  }

  @Test
  void those_behind_the_hosts_own_resolver_are_found_in_its_own_file() throws Exception {
    Path stub = file("a", "nameserver 127.0.0.53\noptions edns0\n");
    Path behind = file("b", "nameserver 192.0.2.3\n");
    assertThat(addresses(stub, behind)).containsExactly("192.0.2.3");
  }

  @Test
  void spaces_and_comments_after_the_address_do_no_harm() throws Exception {
    Path file = file("a", "  nameserver\t192.0.2.4   # the router\n");
    assertThat(addresses(file)).containsExactly("192.0.2.4");
  }

  @Test
  void what_is_no_address_is_passed_over() throws Exception {
    Path file = file("a", "nameserver\nnameserver resolver.example\nnameserver 1.2.3.4; drop\n");
    assertThat(addresses(file)).isEmpty();
  }

  @Test
  void no_more_are_taken_than_a_guest_can_ask_and_none_twice() throws Exception {
    Path file =
        file(
            "a",
            """
            nameserver 192.0.2.1
            nameserver 192.0.2.1
            nameserver 192.0.2.2
            nameserver 192.0.2.3
            nameserver 192.0.2.4
            """);
    assertThat(addresses(file)).containsExactly("192.0.2.1", "192.0.2.2", "192.0.2.3");
  }

  @Test
  void a_file_is_read_again_each_time() throws Exception {
    Path file = file("a", "nameserver 192.0.2.1\n");
    HostResolvers resolvers = new HostResolvers(List.of(file));
    assertThat(resolvers.addresses()).containsExactly("192.0.2.1");
    file("a", "nameserver 192.0.2.2\n");
    assertThat(resolvers.addresses()).containsExactly("192.0.2.2");
  }

  @Test
  void bytes_that_are_no_text_are_passed_over() throws Exception {
    Path file = Files.write(directory.resolve("a"), new byte[] {(byte) 0xff, '\n', (byte) 0xc3});
    assertThat(addresses(file)).isEmpty();
  }

  @Test
  void a_host_without_the_files_has_none() throws Exception {
    assertThat(addresses(directory.resolve("none"))).isEmpty();
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
      assertThat(addresses(file)).containsExactly(address);
    } finally {
      Files.delete(file);
    }
  }
}
