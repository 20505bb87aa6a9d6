package dev.podflare.server;

import java.net.InetSocketAddress;

/**
 * What a server is told at its start.
 *
 * @param address where it listens; port 0 takes any free one
 * @param keys who may come in
 */
public record ServerConfig(InetSocketAddress address, ApiKeys keys) {

  /**
   * @throws IllegalArgumentException if the address has no IP, or if it can be reached from other
   *     machines and no keys are asked for; the message is a sentence for the operator
   */
  public ServerConfig {
    if (address.isUnresolved()) {
      throw new IllegalArgumentException(
          "The address " + address.getHostString() + " is not known; name an IP of this machine.");
    }
    if (!keys.required() && !address.getAddress().isLoopbackAddress()) {
      throw new IllegalArgumentException(
          "Without API keys the server listens on a loopback address only, and "
              + address.getAddress().getHostAddress()
              + " can be reached from other machines. Set PODFLARE_API_KEYS, or use 127.0.0.1.");
    }
  }
}
