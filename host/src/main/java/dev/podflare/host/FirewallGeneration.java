package dev.podflare.host;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** The number of this host's rules: another one after each change of any of them, by anybody. */
final class FirewallGeneration {

  private static final int NFT_MSG_GETGEN = (10 << 8) | 16;
  private static final int FAMILY_HEADER = 4;
  private static final int ATTRIBUTE_HEADER = 4;

  private FirewallGeneration() {}

  /** Asks the kernel; of the namespace in which the thread is. */
  static int current() throws IOException {
    try (Netlink netlink = Netlink.open(Netlink.NETFILTER)) {
      ByteBuffer answer = netlink.ask(new Netlink.Request(NFT_MSG_GETGEN, 0).number(0));
      // The first attribute is the number, in the network's byte order.
      return answer.order(ByteOrder.BIG_ENDIAN).getInt(FAMILY_HEADER + ATTRIBUTE_HEADER);
    }
  }
}
