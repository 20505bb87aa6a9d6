package dev.podflare.host;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The network of one microVM: a namespace of its own, with a tap device for the guest and one way
 * out.
 *
 * <pre>
 *   guest eth0 ── tap0 ┌ namespace pf7 ┐ pfn7 ── pfv7 (host) ── NAT ── outside
 *   10.0.2.15          │ 10.0.2.2, .3  │ 198.18.0.30   198.18.0.29
 * </pre>
 *
 * <p>Every guest has the same addresses, because each is alone in its namespace: so a clone needs
 * no new ones. The pair of addresses between namespace and host comes from the {@link Lease}, out
 * of the range for device benchmarks (RFC 2544), which no real network uses.
 *
 * <p>The policy is kept twice. In the namespace, what the guest sends passes only to the outside;
 * what the machine monitor itself sends is dropped always. On the host, whatever comes out of a
 * namespace never reaches the host's own sockets, whatever address of the host it names, nor
 * another namespace. Names are resolved by the host's own resolvers, the one exception to both: the
 * guest asks 10.0.2.3 and its neighbours, and the namespace translates that to the resolvers'
 * addresses, port 53 only. There is no IPv6.
 *
 * <p>What may not pass is refused, not dropped: whoever tries it in the guest learns so at once.
 *
 * <p>Leaves nothing behind: closing it removes the namespace, and with it the devices and rules in
 * it.
 */
public final class SandboxNetwork implements AutoCloseable {

  /** The guest's gateway; the guest's own address, 10.0.2.15, is part of its image. */
  private static final String GATEWAY = "10.0.2.2/24";

  /**
   * The same everywhere: a copy of a machine remembers the gateway of the one that it was copied
   * of.
   */
  private static final String GATEWAY_MAC = "52:54:00:00:00:02";

  /**
   * Whom the guest asks for names, one for each resolver that a host can have. Addresses of the
   * tap, as somebody must answer for them when the guest looks for their hardware address; where
   * the host has fewer resolvers, nobody listens at the others.
   */
  private static final List<String> NAME_SERVERS = List.of("10.0.2.3", "10.0.2.4", "10.0.2.5");

  /**
   * What the kernel does for the guest. Refusals are not rationed: they go to the guest that caused
   * them, at its own monitor's expense. An answer without a name comes from the guest's own side,
   * with an address of this namespace.
   */
  private static final String KERNEL_SETTINGS =
      """
      cd /proc/sys/net
      if [ -e ipv6 ]; then echo 1 >ipv6/conf/all/disable_ipv6; echo 1 >ipv6/conf/default/disable_ipv6; fi
      echo 1 >ipv4/ip_forward
      echo 0 >ipv4/icmp_ratemask
      echo 0 >ipv4/conf/all/send_redirects
      echo 0 >ipv4/conf/tap0/send_redirects
      echo 1 >ipv4/conf/tap0/accept_local
      """;

  private static final int BASE = (198 << 24) | (18 << 16);

  private final Lease lease;

  /** What the name servers stand for; null if an earlier process has set it. */
  private @Nullable List<String> resolvers;

  private SandboxNetwork(Lease lease) {
    this.lease = lease;
  }

  /**
   * Builds it with the way to the outside open.
   *
   * @param resolvers whom the guest's questions for names go to
   */
  public static SandboxNetwork open(Lease lease, List<String> resolvers) throws HostException {
    SandboxNetwork network = new SandboxNetwork(lease);
    network.close(); // What a microVM that died with its server left under this number.
    try (var _ = HostLock.acquire()) {
      // Each time, as the last microVM of another server may just have taken the rules with it.
      prepareHost();
      network.addNamespace();
    }
    try {
      network.furnish(resolvers);
      return network;
    } catch (HostException e) {
      network.close();
      throw e;
    }
  }

  /** The network which an earlier process built under this lease. */
  public static SandboxNetwork existing(Lease lease) {
    return new SandboxNetwork(lease);
  }

  /** The namespace's file, for setns(2). */
  public Path namespace() {
    return Path.of("/run/netns", name());
  }

  boolean isOpen() {
    return Files.exists(namespace());
  }

  /** The guest's end, a device in the namespace. */
  public String tap() {
    return "tap0";
  }

  /**
   * Opens the tap, for the one monitor at a time that is handed it: frames with a header of
   * virtio's offloads before each, and no waiting.
   *
   * @throws IOException if the network is gone, or the tap is open
   */
  public Descriptor openTap() throws IOException {
    try {
      return new NetworkNamespace(namespace()).inside(() -> Tap.open(tap()));
    } catch (IOException e) {
      throw new IOException(
          "the tap of network " + name() + " can't be opened: " + e.getMessage(), e);
    }
  }

  private String name() {
    return "pf" + lease.number();
  }

  private String hostDevice() {
    return "pfv" + lease.number();
  }

  private String innerDevice() {
    return "pfn" + lease.number();
  }

  private String address(int offset) {
    int address = BASE + lease.number() * 4 + offset;
    return "%d.%d.%d.%d"
        .formatted(address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255);
  }

  private void addNamespace() throws HostException {
    Command.of("ip", "netns", "add", name()).run();
    Command.of("ip", "-batch", "-")
        .run(
            """
            link add %1$s type veth peer name %2$s netns %3$s
            address add %4$s/30 dev %1$s
            """
                .formatted(hostDevice(), innerDevice(), name(), address(1)));
    withoutIpv6(hostDevice());
    Command.of("ip", "link", "set", hostDevice(), "up").run();
  }

  /** Before it is up: the kernel gives a device an IPv6 address then, which the host listens at. */
  private static void withoutIpv6(String device) throws HostException {
    Path setting = Path.of("/proc/sys/net/ipv6/conf", device, "disable_ipv6");
    try {
      if (Files.exists(setting)) {
        Files.writeString(setting, "1");
      }
    } catch (IOException e) {
      throw new HostException("IPv6 can't be switched off on " + device, e);
    }
  }

  private void furnish(List<String> resolvers) throws HostException {
    Command.of("ip", "-n", name(), "-batch", "-")
        .run(
            """
            tuntap add dev %1$s mode tap vnet_hdr user %2$d
            link set dev %1$s address %3$s
            address add %4$s dev %1$s
            """
                    .formatted(tap(), lease.userId(), GATEWAY_MAC, GATEWAY)
                + nameServers("add"));
    inNamespace("sh", "-e", "-s").run(KERNEL_SETTINGS);
    Command.of("ip", "-n", name(), "-batch", "-")
        .run(
            """
            link set %1$s up
            address add %2$s/30 dev %3$s
            link set %3$s up
            route add default via %4$s
            """
                .formatted(tap(), address(2), innerDevice(), address(1)));
    synchronized (this) {
      inNamespace("nft", "-f", "-").run(rules("outside.nft") + questions(resolvers));
      this.resolvers = resolvers;
    }
  }

  private String nameServers(String change) {
    StringBuilder batch = new StringBuilder();
    for (String server : NAME_SERVERS) {
      batch.append("address %s %s/32 dev %s\n".formatted(change, server, tap()));
    }
    return batch.toString();
  }

  /**
   * Brings what an earlier process built to what this one builds, but for the policy.
   *
   * @param resolvers whom the guest's questions for names go to
   */
  void renew(List<String> resolvers) throws HostException {
    withoutIpv6(hostDevice());
    Command.of("ip", "-n", name(), "-batch", "-").run(nameServers("replace"));
    inNamespace("sh", "-e", "-s").run(KERNEL_SETTINGS);
    followResolvers(resolvers);
  }

  /** Lets the guest reach the outside. */
  public void allowOutside() throws HostException {
    inNamespace("nft", "-f", "-").run(rules("outside.nft"));
  }

  /** Lets every packet of the guest die, those of open connections too. */
  public void allowNothing() throws HostException {
    inNamespace("nft", "-f", "-").run(rules("nothing.nft"));
  }

  /** Sends the guest's questions for names to these, if they went to others. */
  synchronized void followResolvers(List<String> now) throws HostException {
    if (!now.equals(resolvers)) {
      inNamespace("nft", "-f", "-").run(questions(now));
      resolvers = now;
    }
  }

  private static String questions(List<String> resolvers) {
    StringBuilder questions = new StringBuilder();
    for (int index = 0; index < resolvers.size(); index++) {
      questions.append(
          "    ip daddr %s meta l4proto { tcp, udp } th dport 53 dnat to %s\n"
              .formatted(NAME_SERVERS.get(index), resolvers.get(index)));
    }
    return rules("names.nft").replace("$questions\n", questions);
  }

  private Command inNamespace(String... words) {
    List<String> all = new ArrayList<>(List.of("ip", "netns", "exec", name()));
    all.addAll(List.of(words));
    return Command.of(all.toArray(String[]::new));
  }

  private static String rules(String resource) {
    try (InputStream rules = SandboxNetwork.class.getResourceAsStream(resource)) {
      return new String(Objects.requireNonNull(rules).readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException("the rules " + resource + " are not in this program", e);
    }
  }

  /**
   * Makes the host's half of the policy again if somebody has taken it away, and has sandboxes let
   * through by the host's firewall.
   */
  static void restoreHost() throws HostException {
    try (var _ = HostLock.acquire()) {
      if (!hasHostsHalf()) {
        prepareHost();
      }
      HostFirewall.admitSandboxes();
    }
  }

  /** Makes the host's half of the policy, common to all microVMs of all servers. */
  private static void prepareHost() throws HostException {
    try {
      Path forwarding = Path.of("/proc/sys/net/ipv4/ip_forward");
      if (!Files.readString(forwarding).strip().equals("1")) {
        Files.writeString(forwarding, "1");
      }
    } catch (IOException e) {
      throw new HostException("IPv4 forwarding can't be switched on", e);
    }
    Command.of("nft", "-f", "-").run(rules("host.nft"));
  }

  private static boolean hasHostsHalf() throws HostException {
    List<String> tables = Command.of("nft", "list", "tables").run().lines().toList();
    return tables.contains("table inet podflare") && tables.contains("table ip podflare");
  }

  /** Removes the host's half if no microVM of any server is left. */
  public static void releaseHost() throws HostException {
    try (var _ = HostLock.acquire()) {
      if (!Command.of("ip", "-o", "link", "show", "type", "veth").run().contains(" pfv")) {
        HostFirewall.forgetSandboxes();
        Command.of("nft", "-f", "-")
            .run(
                """
                table ip podflare
                delete table ip podflare
                table inet podflare
                delete table inet podflare
                """);
      }
    }
  }

  @Override
  public void close() throws HostException {
    if (isOpen()) {
      Command.of("ip", "netns", "delete", name()).run();
    }
    // Deleting the namespace removes the pair, but some time later; its name must be free at once.
    if (Files.exists(Path.of("/sys/class/net", hostDevice()))) {
      deleteHostDevice();
    }
  }

  private void deleteHostDevice() throws HostException {
    try {
      Command.of("ip", "link", "delete", hostDevice()).run();
    } catch (HostException e) {
      if (Files.exists(Path.of("/sys/class/net", hostDevice()))) {
        throw e;
      }
    }
  }
}
