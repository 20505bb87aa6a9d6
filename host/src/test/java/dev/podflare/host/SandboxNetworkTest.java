package dev.podflare.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
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

  /** Named by nobody else, and routed to the outside. */
  private static final List<String> RESOLVERS = List.of("192.0.2.53", "192.0.2.54");

  @TempDir private Path holder;
  private Lease lease;
  private SandboxNetwork network;

  @BeforeEach
  void open() throws Exception {
    lease = Lease.take(holder);
    network = SandboxNetwork.open(lease, RESOLVERS);
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

  private String policy() throws HostException {
    return inNamespace("nft", "list", "table", "inet", "podflare");
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
  void the_tap_is_opened_for_one_monitor_at_a_time() throws Exception {
    String before = Files.readSymbolicLink(Path.of("/proc/thread-self/ns/net")).toString();
    try (Descriptor tap = network.openTap()) {
      assertThat(Files.readString(Path.of("/proc/self/fdinfo/" + tap.number())))
          .contains("iff:\ttap0\n");
      assertThat(inNamespace("cat", "/sys/class/net/tap0/carrier")).isEqualTo("1");
      assertThatThrownBy(network::openTap)
          .isInstanceOf(IOException.class)
          .hasMessageEndingWith("can't be opened: ioctl: Device or resource busy");
    }
    network.openTap().close();
    assertThat(Files.readSymbolicLink(Path.of("/proc/thread-self/ns/net"))).hasToString(before);
    network.close();
    assertThatThrownBy(network::openTap).isInstanceOf(IOException.class);
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
    SandboxNetwork again = SandboxNetwork.open(lease, RESOLVERS);
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
    String outside = policy();
    assertThat(rules()).contains("masquerade");
    network.allowNothing();
    assertThat(policy()).isNotEqualTo(outside);
    assertThat(rules()).doesNotContain("masquerade");
    network.allowOutside();
    assertThat(policy()).isEqualTo(outside);
    assertThat(rules()).contains("masquerade");
  }

  @Test
  void the_policy_of_a_network_that_is_gone_can_not_be_set() throws Exception {
    network.close();
    assertThatThrownBy(network::allowNothing).isInstanceOf(HostException.class);
  }

  @Test
  void the_hosts_half_stays_as_long_as_there_is_a_network() throws Exception {
    SandboxNetwork.releaseHost();
    assertThat(Command.of("nft", "list", "table", "inet", "podflare").run()).contains("pfv*");
  }

  @Test
  void a_new_network_brings_back_the_hosts_half_if_another_server_has_removed_it()
      throws Exception {
    Command.of("nft", "delete", "table", "inet", "podflare").run();
    network = SandboxNetwork.open(lease, RESOLVERS);
    assertThat(Command.of("nft", "list", "table", "inet", "podflare").run())
        .contains("iifname \"pfv*\" goto refuse");
  }

  // ---- what passes ----

  /** Programs that print one line when they are ready. */
  private record Peer(Process process) implements AutoCloseable {

    static Peer start(Optional<String> namespace, String script, String... arguments)
        throws Exception {
      Path file = Path.of(SandboxNetworkTest.class.getResource("/" + script).toURI());
      List<String> words = new ArrayList<>(List.of(file.toString()));
      words.addAll(List.of(arguments));
      return run(namespace, words.toArray(String[]::new));
    }

    static Peer run(Optional<String> namespace, String... arguments) throws Exception {
      List<String> words = new ArrayList<>();
      namespace.ifPresent(name -> words.addAll(List.of("ip", "netns", "exec", name)));
      words.add("python3");
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

  /**
   * What a guest's program finds: a line for each step, after which no more than 2 s had passed.
   */
  private static final String AT_ONCE =
      """
      import socket, struct, time
      def at_once(action):
          began = time.monotonic()
          try:
              said = action()
          except OSError as refused:
              said = refused.strerror
          print(said if time.monotonic() - began < 2 else f"late: {said}")
      def connect(address, port=80):
          with socket.create_connection((address, port), 10):
              return "connected"
      def datagram(address, port=80, text=b"x", size=100):
          with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
              asks.settimeout(10)
              asks.connect((address, port))
              asks.send(text)
              return asks.recv(size)
      QUESTION = b"\\x12\\x34\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0\\x04pypi\\x07example\\0\\0\\x01\\0\\x01"
      def code_of_answer(server):
          answer = datagram(server, 53, QUESTION)
          same = answer[:2] + QUESTION[2:4] + answer[4:] == QUESTION
          return f"answer {answer[3] & 15}" if same and answer[2] & 0x80 else f"garbled {answer!r}"
      """;

  private List<String> found(Guest guest, String steps) throws HostException {
    return guest.run(AT_ONCE + steps).lines().toList();
  }

  @Test
  void a_guests_questions_reach_the_hosts_resolvers() throws Exception {
    String ask =
        """
        for server in ("10.0.2.3", "10.0.2.4"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
                asks.sendto(server.encode(), (server, 53))
        at_once(lambda: datagram("10.0.2.5", 53))
        """;
    try (Outside outside = new Outside();
        Peer resolver = Peer.start(Optional.of(outside.name), "listen-udp.py", "53");
        Guest guest = new Guest()) {
      assertThat(found(guest, ask)).containsExactly("Connection refused");
      assertThat(resolver.line()).isEqualTo("53 " + hostToOutside() + " 10.0.2.3");
      assertThat(resolver.line()).isEqualTo("53 " + hostToOutside() + " 10.0.2.4");
    }
  }

  @Test
  void questions_follow_the_hosts_resolvers_whatever_the_policy() throws Exception {
    String original = inNamespace("nft", "list", "table", "ip", "podflare_names");
    assertThat(original).contains("10.0.2.3", "dnat to 192.0.2.53").contains("dnat to 192.0.2.54");
    network.followResolvers(List.of("192.0.2.55"));
    assertThat(inNamespace("nft", "list", "table", "ip", "podflare_names"))
        .contains("dnat to 192.0.2.55")
        .doesNotContain("192.0.2.53", "10.0.2.4");
    network.allowNothing();
    network.followResolvers(RESOLVERS);
    assertThat(inNamespace("nft", "list", "table", "ip", "podflare_names")).isEqualTo(original);
  }

  @Test
  void without_a_resolver_of_the_host_a_question_is_refused() throws Exception {
    network.followResolvers(List.of());
    try (Guest guest = new Guest()) {
      assertThat(
              found(
                  guest,
                  "at_once(lambda: datagram('10.0.2.3', 53))\n"
                      + "at_once(lambda: connect('10.0.2.3', 53))"))
          .containsExactly("Connection refused", "Connection refused");
    }
  }

  @Test
  void what_is_not_the_outside_is_refused_at_once() throws Exception {
    String steps =
        """
        for address in ("10.213.7.9", "169.254.169.254", "192.168.213.9", "172.17.0.1", "100.64.7.9",
                        "168.63.129.16", "198.18.0.1", "10.0.2.2", "10.0.2.77"):
            at_once(lambda: connect(address))
            at_once(lambda: datagram(address))
        """;
    try (Outside _ = new Outside();
        Guest guest = new Guest()) {
      // The last one is a neighbour that is not there: the guest finds that out itself, by ARP.
      List<String> found = found(guest, steps);
      assertThat(found.subList(0, 16)).containsOnly("No route to host");
    }
  }

  @Test
  void the_hosts_own_addresses_refuse_at_once() throws Exception {
    try (Outside _ = new Outside();
        Guest guest = new Guest();
        Peer host = Peer.start(Optional.empty(), "listen-udp.py", Integer.toString(port()))) {
      String steps =
          """
          at_once(lambda: connect("%1$s", %2$d))
          at_once(lambda: datagram("%1$s", %2$d))
          """
              .formatted(hostToOutside(), port());
      assertThat(found(guest, steps)).containsExactly("Connection refused", "No route to host");
      assertThat(host.hasLine()).isFalse();
    }
  }

  @Test
  void a_port_that_the_host_publishes_for_another_is_refused_too() throws Exception {
    String table = "pftest" + lease.number();
    try (Outside outside = new Outside();
        Peer service =
            Peer.start(Optional.of(outside.name), "listen-udp.py", Integer.toString(port()));
        Guest guest = new Guest()) {
      Command.of("nft", "-f", "-")
          .run(
              """
              table ip %1$s {
                chain published {
                  type nat hook prerouting priority dstnat;
                  ip daddr %2$s udp dport 80 dnat to %3$s:%4$d
                }
              }
              """
                  .formatted(table, hostToOutside(), outsideAddress(), port()));
      try {
        assertThat(found(guest, "at_once(lambda: datagram('%s'))".formatted(hostToOutside())))
            .containsExactly("No route to host");
        assertThat(service.hasLine()).isFalse();
      } finally {
        Command.of("nft", "delete", "table", "ip", table).run();
      }
    }
  }

  @Test
  void while_nothing_is_allowed_all_fails_at_once_and_no_name_exists() throws Exception {
    network.allowNothing();
    String steps =
        """
        for address in ("%s", "10.213.7.9", "10.0.2.2"):
            at_once(lambda: connect(address))
            at_once(lambda: datagram(address))
        for server in ("10.0.2.3", "10.0.2.4", "10.0.2.5") * 10:
            at_once(lambda: code_of_answer(server))
        at_once(lambda: connect("10.0.2.3", 53))
        """
            .formatted(outsideAddress());
    try (Outside _ = new Outside();
        Guest guest = new Guest()) {
      List<String> found = found(guest, steps);
      assertThat(found).hasSize(37);
      assertThat(found.subList(0, 6)).containsOnly("Network is unreachable");
      assertThat(found.subList(6, 36)).containsOnly("answer 3");
      assertThat(found.getLast()).isEqualTo("Network is unreachable");
    }
  }

  @Test
  void refusals_are_not_rationed() throws Exception {
    String steps =
        """
        for _ in range(200):
            at_once(lambda: connect("192.168.213.9"))
        """;
    try (Guest guest = new Guest()) {
      assertThat(found(guest, steps)).hasSize(200).containsOnly("No route to host");
    }
  }

  @Test
  void a_connection_that_is_open_ends_when_nothing_is_allowed_any_more() throws Exception {
    String serve =
        """
        import socket
        with socket.create_server(("0.0.0.0", %d)) as server:
            print("listening", flush=True)
            server.accept()[0].recv(1)
        """
            .formatted(port());
    String talk =
        """
        import socket, sys
        with socket.create_connection(("%s", %d), 10) as connection:
            print("attached", flush=True)
            sys.stdin.readline()
            try:
                connection.settimeout(20)
                connection.send(b"x")
                print(connection.recv(1), flush=True)
            except OSError as refused:
                print(refused.strerror, flush=True)
        """
            .formatted(outsideAddress(), port());
    try (Outside outside = new Outside();
        Peer _ = Peer.run(Optional.of(outside.name), "-c", serve);
        Guest guest = new Guest();
        Peer talking = Peer.run(Optional.of(guest.name), "-c", talk)) {
      network.allowNothing();
      talking.process.outputWriter().append("\n").flush();
      assertThat(talking.line()).isEqualTo("Connection reset by peer");
    }
  }

  @Test
  void there_is_no_ipv6_on_any_side() throws Exception {
    assertThat(inNamespace("ip", "-6", "address", "show")).isEmpty();
    assertThat(Command.of("ip", "-6", "address", "show", "dev", "pfv" + lease.number()).run())
        .isEmpty();
    String ruleset = rules();
    assertThat(ruleset).contains("table inet podflare");
    network.allowNothing();
    assertThat(rules()).contains("table inet podflare");
  }

  @Test
  void a_network_of_an_older_version_is_brought_up_to_date() throws Exception {
    inNamespace("ip", "address", "delete", "10.0.2.3/32", "dev", "tap0");
    inNamespace("nft", "flush", "ruleset");
    SandboxNetwork adopted = SandboxNetwork.existing(lease);
    adopted.renew(RESOLVERS);
    adopted.allowOutside();
    try (Outside outside = new Outside();
        Peer resolver = Peer.start(Optional.of(outside.name), "listen-udp.py", "53");
        Guest guest = new Guest()) {
      guest.run(
          AT_ONCE + "socket.socket(type=socket.SOCK_DGRAM).sendto(b'asks', ('10.0.2.3', 53))");
      assertThat(resolver.line()).endsWith("asks");
    }
  }

  // ---- in step with the host ----

  @Test
  void a_live_network_follows_the_file_that_names_the_hosts_resolvers() throws Exception {
    Path file = Files.writeString(holder.resolve("resolv.conf"), "nameserver 192.0.2.1\n");
    network.close();
    try (NetworkUpkeep upkeep = NetworkUpkeep.start(new HostResolvers(List.of(file)))) {
      network = upkeep.open(lease);
      assertThat(inNamespace("nft", "list", "ruleset")).contains("dnat to 192.0.2.1");
      Files.writeString(file, "nameserver 192.0.2.7\nnameserver 192.0.2.8\n");
      await(() -> rules().contains("dnat to 192.0.2.7"));
      assertThat(rules()).contains("dnat to 192.0.2.8").doesNotContain("dnat to 192.0.2.1\n");
    }
  }

  @Test
  void the_hosts_half_comes_back_while_a_network_lives() throws Exception {
    Path file = Files.writeString(holder.resolve("resolv.conf"), "nameserver 192.0.2.1\n");
    network.close();
    try (NetworkUpkeep upkeep = NetworkUpkeep.start(new HostResolvers(List.of(file)))) {
      network = upkeep.open(lease);
      Command.of("nft", "delete", "table", "inet", "podflare").run();
      await(() -> Command.of("nft", "list", "tables").run().contains("table inet podflare"));
    }
  }

  /** A chain of the host that drops all that it does not know, on the way of this sandbox only. */
  private final class Firewall implements AutoCloseable {

    private final String table = "pfwall" + lease.number();

    Firewall(String chain) throws HostException {
      Command.of("nft", "-f", "-")
          .run(
              """
              table inet %1$s {
                chain FORWARD {
                  %2$s
                  iifname != "pfv%3$d" oifname != "pfv%3$d" accept
                  %4$s
                }
              }
              """
                  .formatted(
                      table,
                      chain.equals("policy")
                          ? "type filter hook forward priority filter; policy drop;"
                          : "type filter hook forward priority filter; policy accept;",
                      lease.number(),
                      chain.equals("policy") ? "" : "counter reject with icmpx admin-prohibited"));
    }

    String rules() throws HostException {
      return Command.of("nft", "list", "table", "inet", table).run();
    }

    @Override
    public void close() throws HostException {
      Command.of("nft", "delete", "table", "inet", table).run();
    }
  }

  @Test
  void a_firewall_that_drops_what_it_does_not_know_is_told_of_sandboxes() throws Exception {
    Path file = Files.writeString(holder.resolve("resolv.conf"), "nameserver 192.0.2.1\n");
    for (String kind : List.of("policy", "last rule")) {
      network.close();
      try (Outside outside = new Outside();
          Peer listener =
              Peer.start(Optional.of(outside.name), "listen-udp.py", Integer.toString(port()));
          Firewall firewall = new Firewall(kind)) {
        assertThat(HostFirewall.closedToSandboxes())
            .contains("inet " + firewall.table + " FORWARD");
        try (NetworkUpkeep upkeep = NetworkUpkeep.start(new HostResolvers(List.of(file)));
            Peer guest = attach(upkeep)) {
          await(() -> firewall.rules().contains("oifname \"pfv*\" accept"));
          assertThat(HostFirewall.closedToSandboxes())
              .doesNotContain("inet " + firewall.table + " FORWARD");
          guest.send(GUEST, outsideAddress(), port(), "through");
          assertThat(listener.line()).endsWith("through");
        }
        HostFirewall.forgetSandboxes();
        assertThat(firewall.rules()).doesNotContain("pfv*");
      }
    }
  }

  private Peer attach(NetworkUpkeep upkeep) throws Exception {
    network = upkeep.open(lease);
    return Peer.start(Optional.of(namespaceName()), "guest-on-tap.py");
  }

  private interface Condition {
    boolean holds() throws HostException;
  }

  private static void await(Condition condition) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (!condition.holds()) {
      assertThat(System.nanoTime()).isLessThan(deadline);
      Thread.sleep(50);
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
