package dev.podflare.host;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
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
  private static final InetAddress GATEWAY = InetAddress.ofLiteral("10.0.2.2");

  /**
   * The same everywhere: a copy of a machine remembers the gateway of the one that it was copied
   * of.
   */
  private static final byte[] GATEWAY_MAC = {0x52, 0x54, 0, 0, 0, 2};

  /**
   * Whom the guest asks for names, one for each resolver that a host can have. Addresses of the
   * tap, as somebody must answer for them when the guest looks for their hardware address; where
   * the host has fewer resolvers, nobody listens at the others.
   */
  private static final List<InetAddress> NAME_SERVERS =
      Stream.of("10.0.2.3", "10.0.2.4", "10.0.2.5").map(InetAddress::ofLiteral).toList();

  /**
   * What the kernel does for the guest. Refusals are not rationed: they go to the guest that caused
   * them, at its own monitor's expense. An answer without a name comes from the guest's own side,
   * with an address of this namespace.
   */
  private static final Map<String, String> KERNEL_SETTINGS =
      Map.of(
          "ipv4/ip_forward", "1",
          "ipv4/icmp_ratemask", "0",
          "ipv4/conf/all/send_redirects", "0",
          "ipv4/conf/tap0/send_redirects", "0",
          "ipv4/conf/tap0/accept_local", "1");

  /** There, unless the host's kernel has no IPv6. */
  private static final Map<String, String> KERNEL_SETTINGS_OF_IPV6 =
      Map.of("ipv6/conf/all/disable_ipv6", "1", "ipv6/conf/default/disable_ipv6", "1");

  private static final Path SETTINGS = Path.of("/proc/sys/net");

  /**
   * Goes before rules that replace others. Left out where there are none yet, as it costs three
   * times what the rules do: the kernel waits until no packet meets those that go.
   */
  private static final String WITHOUT_POLICY =
      """
      table ip podflare
      delete table ip podflare
      table inet podflare
      delete table inet podflare
      """;

  private static final String WITHOUT_NAMES =
      """
      table ip podflare_names
      delete table ip podflare_names
      """;

  private static final String OUTSIDE = "outside.nft";
  private static final String NOTHING = "nothing.nft";
  private static final String NAMES = "names.nft";
  private static final String OF_HOST = "host.nft";

  /** Under the lock of the host: which rules of the host were the last that were prepared. */
  private static final Path PREPARED = HostLock.DIRECTORY.resolve("rules");

  private static final Path DEVICES = Path.of("/sys/class/net");
  private static final String HOST_DEVICE = "pfv";

  private static final int BASE = (198 << 24) | (18 << 16);

  private final Lease lease;
  private final NetworkNamespace namespace;

  /** What the name servers stand for; null if an earlier process has set it. */
  private @Nullable List<String> resolvers;

  /** The policy that holds; null if an earlier process has set it. */
  private @Nullable String policy;

  private SandboxNetwork(Lease lease) {
    this.lease = lease;
    this.namespace = new NetworkNamespace("pf" + lease.number());
  }

  /**
   * Builds it with the way to the outside open.
   *
   * @param resolvers whom the guest's questions for names go to
   */
  public static SandboxNetwork open(Lease lease, List<String> resolvers) throws HostException {
    SandboxNetwork network = new SandboxNetwork(lease);
    network.close(); // What a microVM that died with its server left under this number.
    try {
      network.namespace.create();
      network.build(resolvers);
      return network;
    } catch (IOException | HostException e) {
      network.close();
      throw new HostException(
          "network " + network.name() + " can't be built: " + e.getMessage(), e);
    }
  }

  /** The network which an earlier process built under this lease. */
  public static SandboxNetwork existing(Lease lease) {
    return new SandboxNetwork(lease);
  }

  /** The namespace's file, for setns(2). */
  public Path namespace() {
    return namespace.file();
  }

  boolean isOpen() {
    return namespace.exists();
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
      return namespace.inside(() -> Tap.open(tap()));
    } catch (IOException | HostException e) {
      throw new IOException(
          "the tap of network " + name() + " can't be opened: " + e.getMessage(), e);
    }
  }

  private String name() {
    return namespace.name();
  }

  private String hostDevice() {
    return HOST_DEVICE + lease.number();
  }

  private String innerDevice() {
    return "pfn" + lease.number();
  }

  private InetAddress address(int offset) {
    int address = BASE + lease.number() * 4 + offset;
    return InetAddress.ofLiteral(
        "%d.%d.%d.%d"
            .formatted(
                address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255));
  }

  private void connectToHost() throws IOException, HostException {
    try (NetworkDevices host = NetworkDevices.open();
        Descriptor inner = Descriptor.open(namespace.file(), Descriptor.Access.READ)) {
      host.addPair(hostDevice(), innerDevice(), inner);
      host.address(hostDevice(), address(1), 30);
      withoutIpv6(hostDevice());
      host.setUp(hostDevice());
    }
    // After the device is there: from now on no other server takes the rules with its last microVM.
    try (var _ = HostLock.acquire()) {
      prepareHost();
    }
  }

  /** Before it is up: the kernel gives a device an IPv6 address then, which the host listens at. */
  private static void withoutIpv6(String device) throws IOException {
    Path setting = SETTINGS.resolve("ipv6/conf").resolve(device).resolve("disable_ipv6");
    if (Files.exists(setting)) {
      Files.writeString(setting, "1");
    }
  }

  /** The rules name devices that need not be there: they are loaded while those are made. */
  private void build(List<String> resolvers) throws IOException, HostException {
    NetworkNamespace.Begun<Boolean> rules =
        namespace.begin(() -> {
          setRules(rules(OUTSIDE) + questions(resolvers));
          return true;
        });
    try {
      connectToHost();
      boolean _ = namespace.inside(this::furnish);
    } finally {
      boolean _ = rules.await();
    }
    synchronized (this) {
      this.resolvers = resolvers;
      this.policy = OUTSIDE;
    }
  }

  private boolean furnish() throws IOException {
    Tap.create(tap(), lease.userId());
    setUpKernel();
    try (NetworkDevices devices = NetworkDevices.open()) {
      devices.setHardwareAddress(tap(), GATEWAY_MAC);
      devices.address(tap(), GATEWAY, 24);
      addNameServers(devices);
      devices.setUp(tap());
      devices.address(innerDevice(), address(2), 30);
      devices.setUp(innerDevice());
      devices.defaultRoute(address(1));
    }
    return true;
  }

  private void addNameServers(NetworkDevices devices) throws IOException {
    for (InetAddress server : NAME_SERVERS) {
      devices.address(tap(), server, 32);
    }
  }

  private static void setUpKernel() throws IOException {
    for (var setting : KERNEL_SETTINGS.entrySet()) {
      Files.writeString(SETTINGS.resolve(setting.getKey()), setting.getValue());
    }
    if (Files.exists(SETTINGS.resolve("ipv6"))) {
      for (var setting : KERNEL_SETTINGS_OF_IPV6.entrySet()) {
        Files.writeString(SETTINGS.resolve(setting.getKey()), setting.getValue());
      }
    }
  }

  /** In the namespace in which the thread is. */
  private static void setRules(String rules) throws HostException {
    Command.of("nft", "-f", "-").run(rules);
  }

  /**
   * Brings what an earlier process built to what this one builds, but for the policy.
   *
   * @param resolvers whom the guest's questions for names go to
   */
  void renew(List<String> resolvers) throws HostException {
    inNamespace(() -> {
      try (NetworkDevices devices = NetworkDevices.open()) {
        addNameServers(devices);
      }
      setUpKernel();
      return true;
    });
    try {
      withoutIpv6(hostDevice());
    } catch (IOException e) {
      throw new HostException("IPv6 can't be switched off on " + hostDevice(), e);
    }
    followResolvers(resolvers);
  }

  /** Lets the guest reach the outside. */
  public void allowOutside() throws HostException {
    allow(OUTSIDE);
  }

  /** Lets every packet of the guest die, those of open connections too. */
  public void allowNothing() throws HostException {
    allow(NOTHING);
  }

  private synchronized void allow(String wanted) throws HostException {
    if (!wanted.equals(policy)) {
      replaceRules(WITHOUT_POLICY + rules(wanted));
      policy = wanted;
    }
  }

  /** Whether the guest's questions for names go to these. */
  synchronized boolean follows(List<String> now) {
    return now.equals(resolvers);
  }

  /** Sends the guest's questions for names to these, if they went to others. */
  synchronized void followResolvers(List<String> now) throws HostException {
    if (!now.equals(resolvers)) {
      replaceRules(WITHOUT_NAMES + questions(now));
      resolvers = now;
    }
  }

  private void replaceRules(String rules) throws HostException {
    inNamespace(() -> {
      setRules(rules);
      return true;
    });
  }

  private void inNamespace(NetworkNamespace.Work<Boolean> work) throws HostException {
    try {
      boolean _ = namespace.inside(work);
    } catch (IOException e) {
      throw new HostException("network " + name() + " can't be changed: " + e.getMessage(), e);
    }
  }

  private static String questions(List<String> resolvers) {
    StringBuilder questions = new StringBuilder();
    for (int index = 0; index < resolvers.size(); index++) {
      questions.append(
          "    ip daddr %s meta l4proto { tcp, udp } th dport 53 dnat to %s\n"
              .formatted(NAME_SERVERS.get(index).getHostAddress(), resolvers.get(index)));
    }
    return rules(NAMES).replace("$questions\n", questions);
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

  /**
   * Makes the host's half of the policy, common to all microVMs of all servers, unless nobody has
   * changed the host's rules since it was made. Under the lock of the host.
   */
  private static void prepareHost() throws HostException {
    String rules = rules(OF_HOST);
    try {
      Path forwarding = SETTINGS.resolve("ipv4/ip_forward");
      if (!Files.readString(forwarding).strip().equals("1")) {
        Files.writeString(forwarding, "1");
      }
      int generation = FirewallGeneration.current();
      if (Files.exists(PREPARED) && Files.readString(PREPARED).equals(mark(generation, rules))) {
        return;
      }
      setRules(rules);
      // As it was, and one change: that of somebody else in between makes this do it once more.
      Files.writeString(PREPARED, mark(generation + 1, rules));
    } catch (IOException e) {
      throw new HostException("the host's half of the policy can't be made: " + e.getMessage(), e);
    }
  }

  /** Another version of this program may have other rules. */
  private static String mark(int generation, String rules) {
    return generation + " " + rules.hashCode();
  }

  private static boolean hasHostsHalf() throws HostException {
    List<String> tables = Command.of("nft", "list", "tables").run().lines().toList();
    return tables.contains("table inet podflare") && tables.contains("table ip podflare");
  }

  /** Removes the host's half if no microVM of any server is left. */
  public static void releaseHost() throws HostException {
    try (var _ = HostLock.acquire()) {
      if (!hasSandboxes()) {
        HostFirewall.forgetSandboxes();
        setRules(WITHOUT_POLICY);
      }
    } catch (IOException e) {
      throw new HostException("the host's devices can't be listed", e);
    }
  }

  private static boolean hasSandboxes() throws IOException {
    try (var devices = Files.newDirectoryStream(DEVICES, HOST_DEVICE + "*")) {
      return devices.iterator().hasNext();
    }
  }

  @Override
  public void close() throws HostException {
    try {
      namespace.delete();
      // Its end removes the pair, but some time later; the pair's name must be free at once.
      if (Files.exists(DEVICES.resolve(hostDevice()))) {
        deleteHostDevice();
      }
    } catch (IOException e) {
      throw new HostException("network " + name() + " can't be removed: " + e.getMessage(), e);
    }
  }

  private void deleteHostDevice() throws IOException {
    try (NetworkDevices host = NetworkDevices.open()) {
      host.delete(hostDevice());
    } catch (IOException e) {
      if (Files.exists(DEVICES.resolve(hostDevice()))) {
        throw e;
      }
    }
  }
}
