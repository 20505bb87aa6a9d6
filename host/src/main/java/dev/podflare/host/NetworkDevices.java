package dev.podflare.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;

/**
 * The network devices of one namespace, their addresses and the way out: what ip(8) does, by
 * rtnetlink(7) and without a process. The namespace is that of the thread that opened it.
 *
 * <p>For one thread at a time.
 */
final class NetworkDevices implements AutoCloseable {

  private static final int RTM_NEWLINK = 16;
  private static final int RTM_DELLINK = 17;
  private static final int RTM_NEWADDR = 20;
  private static final int RTM_NEWROUTE = 24;
  private static final int IFLA_ADDRESS = 1;
  private static final int IFLA_IFNAME = 3;
  private static final int IFLA_LINKINFO = 18;
  private static final int IFLA_NET_NS_FD = 28;
  private static final int IFLA_INFO_KIND = 1;
  private static final int IFLA_INFO_DATA = 2;
  private static final int VETH_INFO_PEER = 1;
  private static final int IFA_ADDRESS = 1;
  private static final int IFA_LOCAL = 2;
  private static final int RTA_GATEWAY = 5;
  private static final int IFF_UP = 1;
  private static final int AF_INET = 2;
  private static final int RT_TABLE_MAIN = 254;
  private static final int RTPROT_BOOT = 3;
  private static final int RTN_UNICAST = 1;
  private static final long SIOCGIFINDEX = 0x8933;
  private static final int INTERFACE_REQUEST = 40;
  private static final int NAME_LENGTH = 16;

  private final Netlink netlink;
  private final Descriptor lookup;

  private NetworkDevices(Netlink netlink, Descriptor lookup) {
    this.netlink = netlink;
    this.lookup = lookup;
  }

  static NetworkDevices open() throws IOException {
    Netlink netlink = Netlink.open(Netlink.ROUTE);
    try {
      return new NetworkDevices(netlink, UnixSocket.socket(UnixSocket.Kind.STREAM));
    } catch (IOException e) {
      netlink.close();
      throw e;
    }
  }

  /** Two devices with a cable between them; the other one is in another namespace. */
  void addPair(String name, String peer, Descriptor namespaceOfPeer) throws IOException {
    Netlink.Request request = link(RTM_NEWLINK, Netlink.CREATE | Netlink.EXCLUSIVE, 0, 0);
    request
        .attribute(IFLA_IFNAME, name)
        .nested(
            IFLA_LINKINFO,
            () ->
                request
                    .attribute(IFLA_INFO_KIND, "veth")
                    .nested(
                        IFLA_INFO_DATA,
                        () ->
                            request.nested(
                                VETH_INFO_PEER,
                                () ->
                                    request
                                        .bytes(new int[NAME_LENGTH])
                                        .attribute(IFLA_IFNAME, peer)
                                        .attribute(IFLA_NET_NS_FD, namespaceOfPeer.number()))));
    ask("add " + name, request);
  }

  /** With what it is connected to. */
  void delete(String name) throws IOException {
    ask("delete " + name, link(RTM_DELLINK, 0, 0, 0).attribute(IFLA_IFNAME, name));
  }

  void setHardwareAddress(String name, byte[] address) throws IOException {
    ask(
        "give " + name + " its hardware address",
        link(RTM_NEWLINK, 0, index(name), 0).attribute(IFLA_ADDRESS, address));
  }

  void setUp(String name) throws IOException {
    ask("set up " + name, link(RTM_NEWLINK, 0, index(name), IFF_UP));
  }

  /** Gives a device an address, if it does not have it. */
  void address(String name, InetAddress address, int prefix) throws IOException {
    ask(
        "give " + name + " the address " + address.getHostAddress(),
        new Netlink.Request(RTM_NEWADDR, Netlink.ACKNOWLEDGE | Netlink.CREATE | Netlink.REPLACE)
            .bytes(AF_INET, prefix, 0, 0)
            .number(index(name))
            .attribute(IFA_LOCAL, address.getAddress())
            .attribute(IFA_ADDRESS, address.getAddress()));
  }

  /** The way to everything else. */
  void defaultRoute(InetAddress gateway) throws IOException {
    ask(
        "route through " + gateway.getHostAddress(),
        new Netlink.Request(RTM_NEWROUTE, Netlink.ACKNOWLEDGE | Netlink.CREATE | Netlink.EXCLUSIVE)
            .bytes(AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, 0, RTN_UNICAST)
            .number(0)
            .attribute(RTA_GATEWAY, gateway.getAddress()));
  }

  /** The flags are set, all others left as they are. */
  private static Netlink.Request link(int type, int how, int index, int flags) {
    return new Netlink.Request(type, Netlink.ACKNOWLEDGE | how)
        .number(0)
        .number(index)
        .number(flags)
        .number(flags);
  }

  private void ask(String what, Netlink.Request request) throws IOException {
    try {
      netlink.ask(request);
    } catch (Netlink.RefusedException e) {
      throw new IOException("the kernel did not " + what + ": " + e.getMessage(), e);
    }
  }

  private int index(String name) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment request = arena.allocate(INTERFACE_REQUEST, Integer.BYTES);
      request.setString(0, name);
      SystemCall.IOCTL.call(lookup.number(), SIOCGIFINDEX, request.address());
      return request.get(ValueLayout.JAVA_INT, NAME_LENGTH);
    } catch (SystemCallException e) {
      throw new IOException("there is no device " + name + ": " + e.getMessage(), e);
    }
  }

  @Override
  public void close() {
    netlink.close();
    lookup.close();
  }
}
