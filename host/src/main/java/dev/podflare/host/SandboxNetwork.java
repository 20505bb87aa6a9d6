package dev.podflare.host;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Pattern;

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
 * <p>The policy is kept twice. In the namespace, what the guest sends is dropped unless it goes to
 * the outside; what the machine monitor itself sends is dropped always. On the host, whatever comes
 * out of a namespace never reaches the host's own sockets, whatever address of the host it names,
 * nor another namespace. Names are resolved by the host's own resolver, the one exception to both:
 * the guest asks 10.0.2.3, and the namespace translates that to the resolver's address, port 53
 * only.
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
   * Whom the guest asks for names. An address of the tap, as somebody must answer for it when the
   * guest looks for its hardware address; and where nobody listens, if the host has no resolver.
   */
  private static final String NAME_SERVER = "10.0.2.3";

  private static final int BASE = (198 << 24) | (18 << 16);
  private static final Pattern NAMESERVER = Pattern.compile("nameserver\\s+(\\S+).*");

  private final Lease lease;

  private SandboxNetwork(Lease lease) {
    this.lease = lease;
  }

  /** Builds it with the way to the outside open. */
  public static SandboxNetwork open(Lease lease) throws HostException {
    SandboxNetwork network = new SandboxNetwork(lease);
    network.close(); // What a microVM that died with its server left under this number.
    try (var _ = HostLock.acquire()) {
      // Each time, as the last microVM of another server may just have taken the rules with it.
      prepareHost();
      network.addNamespace();
    }
    try {
      network.furnish();
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

  /** The guest's end, a device in the namespace. */
  public String tap() {
    return "tap0";
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
            link set %1$s up
            """
                .formatted(hostDevice(), innerDevice(), name(), address(1)));
  }

  private void furnish() throws HostException {
    Command.of("ip", "-n", name(), "-batch", "-")
        .run(
            """
            tuntap add dev %1$s mode tap vnet_hdr user %5$d
            link set dev %1$s address %7$s
            address add %2$s dev %1$s
            address add %8$s/32 dev %1$s
            link set %1$s up
            address add %3$s/30 dev %4$s
            link set %4$s up
            route add default via %6$s
            """
                .formatted(
                    tap(),
                    GATEWAY,
                    address(2),
                    innerDevice(),
                    lease.userId(),
                    address(1),
                    GATEWAY_MAC,
                    NAME_SERVER));
    inNamespace("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward").run();
    allowOutside();
  }

  /** Lets the guest reach the outside. */
  public void allowOutside() throws HostException {
    String resolver = hostResolver().orElse(NAME_SERVER);
    inNamespace("nft", "-D", "resolver=" + resolver, "-f", "-").run(rules("outside.nft"));
  }

  /** Lets every packet of the guest die, those of open connections too. */
  public void allowNothing() throws HostException {
    inNamespace("nft", "-f", "-").run(rules("nothing.nft"));
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
   * The resolver that guests' questions go to: the host's first one that is not on its loopback,
   * where nothing of the guest may come. systemd-resolved names those behind it in a file of its
   * own.
   */
  public static Optional<String> hostResolver() throws HostException {
    return hostResolver(Path.of("/etc/resolv.conf"), Path.of("/run/systemd/resolve/resolv.conf"));
  }

  static Optional<String> hostResolver(Path... files) throws HostException {
    for (Path path : files) {
      if (!Files.isReadable(path)) {
        continue;
      }
      try {
        for (String line : Files.readAllLines(path)) {
          var matcher = NAMESERVER.matcher(line.strip());
          if (matcher.matches() && isUsableResolver(matcher.group(1))) {
            return Optional.of(matcher.group(1));
          }
        }
      } catch (IOException e) {
        throw new HostException(path + " can't be read", e);
      }
    }
    return Optional.empty();
  }

  private static boolean isUsableResolver(String text) {
    try {
      InetAddress address = InetAddress.ofLiteral(text);
      return address instanceof Inet4Address && !address.isLoopbackAddress();
    } catch (IllegalArgumentException notAnAddress) {
      return false;
    }
  }

  /**
   * Makes the host's half of the policy, common to all microVMs of all servers. Does nothing if it
   * is there.
   */
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

  /** Removes the host's half if no microVM of any server is left. */
  public static void releaseHost() throws HostException {
    try (var _ = HostLock.acquire()) {
      if (!Command.of("ip", "-o", "link", "show", "type", "veth").run().contains(" pfv")) {
        Command.of("nft", "-f", "-").run("table ip podflare\ndelete table ip podflare\n");
      }
    }
  }

  @Override
  public void close() throws HostException {
    if (Files.exists(namespace())) {
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
