package dev.podflare.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * On real namespaces, with a process at the tap that sends what a guest would, so it needs root.
 * The outside is one more namespace, in which a process prints what reaches it.
 *
 * <p>That a packet does not arrive is seen without waiting: packets keep their order on this way,
 * so what has not come before a later, allowed one never will.
 */
class SandboxNetworkTest {

  private static final String GUEST = "10.0.2.15";

  @TempDir private Path holder;
  private Lease lease;
  private SandboxNetwork network;

  @BeforeEach
  void open() throws Exception {
    lease = Lease.take(holder);
    network = SandboxNetwork.open(lease);
  }

  @AfterEach
  void close() throws Exception {
    network.close();
    lease.release(holder);
    SandboxNetwork.releaseHost();
  }

  /** From a range for documentation, which the policy takes for the outside. */
  private String outsideAddress() {
    return "203.0.113." + (lease.number() % 63 * 4 + 2);
  }

  private String hostToOutside() {
    return "203.0.113." + (lease.number() % 63 * 4 + 1);
  }

  /** As the addresses, another one for each lease: two runs of this test do not meet. */
  private int port() {
    return 20_000 + lease.number();
  }

  private String namespaceName() {
    return network.namespace().getFileName().toString();
  }

  private Path hostDevice() {
    return Path.of("/sys/class/net/pfv" + lease.number());
  }

  private String rules() throws HostException {
    return inNamespace("nft", "list", "ruleset");
  }

  private String inNamespace(String... words) throws HostException {
    List<String> all = new ArrayList<>(List.of("ip", "netns", "exec", namespaceName()));
    all.addAll(List.of(words));
    return Command.of(all.toArray(String[]::new)).run();
  }

  // ---- what there is ----

  @Test
  void an_open_network_has_a_namespace_a_tap_and_a_way_out() throws Exception {
    assertThat(network.namespace()).exists();
    assertThat(hostDevice()).exists();
    assertThat(inNamespace("ls", "/sys/class/net").split("\\s+"))
        .contains("tap0", "pfn" + lease.number());
    assertThat(inNamespace("ip", "route", "show", "default")).startsWith("default via 198.18.");
  }

  @Test
  void the_tap_belongs_to_the_user_of_the_lease() throws Exception {
    assertThat(inNamespace("cat", "/sys/class/net/" + network.tap() + "/owner"))
        .isEqualTo(Integer.toString(lease.userId()));
  }

  @Test
  void closing_leaves_no_namespace_and_no_device() throws Exception {
    network.close();
    assertThat(network.namespace()).doesNotExist();
    assertThat(hostDevice()).doesNotExist();
    network.close();
  }

  @Test
  void what_an_earlier_process_left_is_replaced() throws Exception {
    inNamespace("ip", "link", "delete", "tap0");
    SandboxNetwork again = SandboxNetwork.open(lease);
    assertThat(inNamespace("ls", "/sys/class/net")).contains("tap0");
    again.close();
    assertThat(hostDevice()).doesNotExist();
  }

  @Test
  void what_an_earlier_process_left_can_be_closed() throws Exception {
    SandboxNetwork.existing(lease).close();
    assertThat(network.namespace()).doesNotExist();
    assertThat(hostDevice()).doesNotExist();
  }

  @Test
  void one_policy_replaces_the_other() throws Exception {
    String outside = rules();
    assertThat(outside).contains("masquerade");
    network.allowNothing();
    assertThat(rules()).doesNotContain("accept", "masquerade", "dnat");
    network.allowOutside();
    assertThat(rules()).isEqualTo(outside);
  }

  @Test
  void the_policy_of_a_network_that_is_gone_can_not_be_set() throws Exception {
    network.close();
    assertThatThrownBy(network::allowNothing).isInstanceOf(HostException.class);
  }

  @Test
  void the_hosts_half_stays_as_long_as_there_is_a_network() throws Exception {
    SandboxNetwork.releaseHost();
    assertThat(Command.of("nft", "list", "table", "ip", "podflare").run()).contains("pfv*");
  }

  @Test
  void a_new_network_brings_back_the_hosts_half_if_another_server_has_removed_it()
      throws Exception {
    Command.of("nft", "delete", "table", "ip", "podflare").run();
    network = SandboxNetwork.open(lease);
    assertThat(Command.of("nft", "list", "table", "ip", "podflare").run())
        .contains("iifname \"pfv*\" drop", "masquerade");
  }

  // ---- what passes ----

  /** Programs that print one line when they are ready. */
  private record Peer(Process process) implements AutoCloseable {

    static Peer start(Optional<String> namespace, String script, String... arguments)
        throws Exception {
      Path file = Path.of(SandboxNetworkTest.class.getResource("/" + script).toURI());
      List<String> words = new ArrayList<>();
      namespace.ifPresent(name -> words.addAll(List.of("ip", "netns", "exec", name)));
      words.addAll(List.of("python3", file.toString()));
      words.addAll(List.of(arguments));
      Process process =
          new ProcessBuilder(words).redirectError(ProcessBuilder.Redirect.INHERIT).start();
      Peer peer = new Peer(process);
      assertThat(peer.line()).isIn("attached", "listening");
      return peer;
    }

    String line() throws IOException {
      return process.inputReader().readLine();
    }

    boolean hasLine() throws IOException {
      return process.inputReader().ready();
    }

    void send(String source, String destination, int port, String text) throws IOException {
      process.outputWriter().append(String.join(" ", source, destination, port + "", text));
      process.outputWriter().append("\n").flush();
      assertThat(line()).isEqualTo("sent");
    }

    @Override
    public void close() {
      process.destroyForcibly();
    }
  }

  /**
   * A namespace behind the host. What comes from the sandbox, and from nowhere else, is routed to
   * it whatever address it names, so that only the policy keeps anything away.
   */
  private final class Outside implements AutoCloseable {

    private final String name = "pftest" + lease.number();
    private final String table = Integer.toString(100_000 + lease.number());

    Outside() throws HostException {
      close();
      Command.of("ip", "netns", "add", name).run();
      Command.of("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
          .run();
      Command.of("ip", "address", "add", hostToOutside() + "/30", "dev", name).run();
      Command.of("ip", "link", "set", name, "up").run();
      Command.of("ip", "-n", name, "-batch", "-")
          .run(
              """
              address add %s/30 dev eth0
              link set eth0 up
              link set lo up
              """
                  .formatted(outsideAddress()));
      // It takes every address for its own.
      Command.of("ip", "-n", name, "route", "add", "local", "0.0.0.0/0", "dev", "lo").run();
      Command.of(
              "ip", "route", "add", "default", "via", outsideAddress(), "dev", name, "table", table)
          .run();
      Command.of("ip", "rule", "add", "iif", "pfv" + lease.number(), "lookup", table).run();
    }

    @Override
    public void close() throws HostException {
      if (!Command.of("ip", "rule", "show", "table", table).run().isEmpty()) {
        Command.of("ip", "rule", "delete", "lookup", table).run();
      }
      // First, as it would go by itself some time after the namespace.
      if (Files.exists(Path.of("/sys/class/net", name))) {
        Command.of("ip", "link", "delete", name).run();
      }
      if (Files.exists(Path.of("/run/netns", name))) {
        Command.of("ip", "netns", "delete", name).run();
      }
    }
  }

  @Test
  void a_guest_reaches_the_outside_and_nothing_inside() throws Exception {
    try (Outside outside = new Outside();
        Peer listener =
            Peer.start(Optional.of(outside.name), "listen-udp.py", Integer.toString(port()));
        Peer guest = Peer.start(Optional.of(namespaceName()), "guest-on-tap.py")) {
      for (String inside :
          List.of("10.213.7.9", "169.254.169.254", "192.168.213.9", "100.64.7.9")) {
        guest.send(GUEST, inside, port(), "to-" + inside);
      }
      guest.send("10.0.2.99", outsideAddress(), port(), "from-a-false-address");
      guest.send(GUEST, outsideAddress(), port(), "to-the-outside");
      assertThat(listener.line()).isEqualTo(port() + " " + hostToOutside() + " to-the-outside");
      assertThat(listener.hasLine()).isFalse();
    }
  }

  @Test
  void a_guest_never_reaches_a_socket_of_the_host() throws Exception {
    try (Outside outside = new Outside();
        Peer host = Peer.start(Optional.empty(), "listen-udp.py", Integer.toString(port()));
        Peer listener =
            Peer.start(Optional.of(outside.name), "listen-udp.py", Integer.toString(port()));
        Peer guest = Peer.start(Optional.of(namespaceName()), "guest-on-tap.py")) {
      String hostInside =
          inNamespace("ip", "-o", "route", "get", outsideAddress()).split("\\s+", -1)[2];
      for (String address : List.of(hostToOutside(), hostInside, "127.0.0.1", "10.0.2.2")) {
        guest.send(GUEST, address, port(), "to-the-host");
      }
      guest.send(GUEST, outsideAddress(), port(), "to-the-outside");
      assertThat(listener.line()).endsWith("to-the-outside");
      assertThat(host.hasLine()).isFalse();
    }
  }

  @Test
  void nothing_passes_while_nothing_is_allowed() throws Exception {
    try (Outside outside = new Outside();
        Peer listener =
            Peer.start(Optional.of(outside.name), "listen-udp.py", Integer.toString(port()));
        Peer guest = Peer.start(Optional.of(namespaceName()), "guest-on-tap.py")) {
      guest.send(GUEST, outsideAddress(), port(), "before");
      network.allowNothing();
      guest.send(GUEST, outsideAddress(), port(), "meanwhile");
      network.allowOutside();
      guest.send(GUEST, outsideAddress(), port(), "after");
      assertThat(listener.line()).endsWith("before");
      assertThat(listener.line()).endsWith("after");
    }
  }

  /** A namespace for the guest's own network stack, at the other end of a cable from the tap. */
  private final class Guest implements AutoCloseable {

    private final String name = "pfguest" + lease.number();
    private final Peer cable;

    Guest() throws Exception {
      remove();
      Command.of("ip", "netns", "add", name).run();
      cable = Peer.start(Optional.of(namespaceName()), "cable.py", name);
      Command.of("ip", "-n", name, "-batch", "-")
          .run(
              """
              address add 10.0.2.15/24 dev eth0
              link set eth0 up
              link set lo up
              route add default via 10.0.2.2
              """);
    }

    String run(String code) throws HostException {
      return Command.of("ip", "netns", "exec", name, "python3", "-c", code).run();
    }

    @Override
    public void close() throws HostException {
      cable.close();
      remove();
    }

    private void remove() throws HostException {
      if (Files.exists(Path.of("/run/netns", name))) {
        Command.of("ip", "netns", "delete", name).run();
      }
    }
  }

  @Test
  void a_guests_question_reaches_the_hosts_resolver() throws Exception {
    try (Outside outside = new Outside();
        Peer resolver = Peer.start(Optional.of(outside.name), "listen-udp.py", "53");
        Guest guest = new Guest()) {
      guest.run(
          """
          import socket
          with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
              asks.sendto(b"question", ("10.0.2.3", 53))
          """);
      assertThat(resolver.line()).isEqualTo("53 " + hostToOutside() + " question");
    }
  }

  @Test
  void the_machine_monitor_itself_can_send_nothing() throws Exception {
    String attempt =
        """
        import socket
        try:
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("%s", 53))
            print("sent")
        except PermissionError:
            print("dropped")
        """
            .formatted(outsideAddress());
    assertThat(inNamespace("python3", "-c", attempt)).isEqualTo("dropped");
    network.allowNothing();
    assertThat(inNamespace("python3", "-c", attempt)).isEqualTo("dropped");
  }
}
