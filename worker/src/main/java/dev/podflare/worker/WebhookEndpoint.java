package dev.podflare.worker;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where the provider's webhooks come in.
 *
 * @param address of this machine; a proxy in front of it speaks TLS
 * @param key what they are signed with
 */
public record WebhookEndpoint(InetSocketAddress address, WebhookKey key) {
  private static final Pattern ADDRESS =
      Pattern.compile("(?:\\[([0-9a-fA-F:.]+)]|([^:\\[\\]/]+)):([0-9]{1,5})");

  private static final int LAST_PORT = 65_535;

  /**
   * An endpoint.
   *
   * @param address {@code HOST:PORT}, an IPv6 address in brackets
   * @throws IllegalArgumentException it is not that; the text is for a person
   */
  public static WebhookEndpoint of(String address, WebhookKey key) {
    Matcher found = ADDRESS.matcher(address);
    try {
      if (found.matches() && Integer.parseInt(found.group(3)) <= LAST_PORT) {
        InetAddress host =
            InetAddress.getByName(found.group(1) == null ? found.group(2) : found.group(1));
        return new WebhookEndpoint(
            new InetSocketAddress(host, Integer.parseInt(found.group(3))), key);
      }
    } catch (UnknownHostException unknown) {
      throw new IllegalArgumentException("--webhook-addr: there is no host of " + address, unknown);
    }
    throw new IllegalArgumentException(
        "--webhook-addr is HOST:PORT, such as 127.0.0.1:8090; it is " + address);
  }
}
