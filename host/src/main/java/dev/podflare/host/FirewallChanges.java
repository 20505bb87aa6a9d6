package dev.podflare.host;

import java.io.IOException;

/**
 * Tells whether somebody has changed this host's rules: a socket to which the kernel sends a notice
 * of each change. See netlink(7).
 */
final class FirewallChanges implements AutoCloseable {

  /** NFNLGRP_NFTABLES, as a bit. */
  private static final int GROUP = 1 << (7 - 1);

  private final Netlink netlink;

  private FirewallChanges(Netlink netlink) {
    this.netlink = netlink;
  }

  static FirewallChanges watch() throws HostException {
    try {
      return new FirewallChanges(Netlink.listen(Netlink.NETFILTER, GROUP));
    } catch (IOException e) {
      throw new HostException("changes of the kernel's rules can't be listened to", e);
    }
  }

  /** Whether there was a change since this was asked before. */
  boolean any() {
    boolean found = false;
    while (true) {
      try {
        netlink.takeNotice();
      } catch (SystemCallException e) {
        if (e.errno() != Errno.ENOBUFS) {
          return found;
        }
      }
      found = true;
    }
  }

  @Override
  public void close() {
    netlink.close();
  }
}
