package dev.podflare.worker;

import java.net.InetAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.Set;
import javax.net.ssl.SSLContext;
import org.jspecify.annotations.Nullable;

/**
 * The address of the provider's API, to which credentials are sent: https, or plain http where
 * nobody outside can read it. Certificates are always verified.
 */
public final class ProviderAddress {
  private static final Set<String> THIS_MACHINE = Set.of("127.0.0.1", "localhost", "[::1]");

  /** The first byte of IPv6 unique local addresses, fc00::/7, and the bits that count. */
  private static final int UNIQUE_LOCAL = 0xFC;

  private static final int UNIQUE_LOCAL_MASK = 0xFE;

  private final URI uri;
  private final @Nullable SSLContext trust;

  private ProviderAddress(URI uri, @Nullable SSLContext trust) {
    this.uri = uri;
    this.trust = trust;
  }

  /**
   * Checks an address.
   *
   * @param url https; or http to this machine; or, with {@code isInsecure}, http to a private
   *     address
   * @param authorities a PEM file with certificate authorities that are trusted beside the usual
   *     ones, or null
   * @throws IllegalArgumentException it is not as said above; the text is for a person
   */
  public static ProviderAddress of(String url, boolean isInsecure, @Nullable Path authorities) {
    URI uri;
    try {
      uri = URI.create(url);
    } catch (IllegalArgumentException wrong) {
      throw new IllegalArgumentException(
          "--base-url is not a URL: " + url + "; it looks like https://agents.example.org", wrong);
    }
    boolean isClean =
        uri.getHost() != null
            && uri.getRawUserInfo() == null
            && uri.getRawQuery() == null
            && uri.getRawFragment() == null;
    if (isClean && "https".equalsIgnoreCase(uri.getScheme())) {
      if (isInsecure) {
        throw new IllegalArgumentException(
            "--insecure is for a plain http:// address; the certificate of an https:// one is"
                + " always verified. For a private certificate authority, name its PEM file with"
                + " --ca-file");
      }
      return new ProviderAddress(
          uri, authorities == null ? null : PrivateAuthority.trusting(authorities));
    }
    if (!isClean || !"http".equalsIgnoreCase(uri.getScheme())) {
      throw new IllegalArgumentException(
          "the provider's address must be https://HOST[:PORT][/PATH], without user, query or"
              + " fragment; it is "
              + url);
    }
    if (authorities != null) {
      throw new IllegalArgumentException(
          "--ca-file is of no use with a plain http:// address; give an https:// one");
    }
    ProviderAddress address = new ProviderAddress(uri, null);
    if (!address.isThisMachine()) {
      address.checkPrivate(url, isInsecure);
    }
    return address;
  }

  URI uri() {
    return uri;
  }

  /** The trust that connections need beyond the usual, or null. */
  @Nullable SSLContext trust() {
    return trust;
  }

  /**
   * Checks once more before a credential goes out in plain text: a name may stand for another
   * address by now.
   */
  void requireSafe() throws ProviderException {
    if (uri.getScheme().equalsIgnoreCase("https") || isThisMachine()) {
      return;
    }
    try {
      if (!isPrivate(InetAddress.getAllByName(uri.getHost()))) {
        throw ProviderException.malformed(
            uri.getHost() + " no longer stands for a private address, so nothing is sent to it",
            null);
      }
    } catch (UnknownHostException unknown) {
      throw ProviderException.unreachable("there is no host " + uri.getHost(), unknown);
    }
  }

  private boolean isThisMachine() {
    return THIS_MACHINE.contains(uri.getHost().toLowerCase(Locale.ROOT));
  }

  private void checkPrivate(String url, boolean isInsecure) {
    if (!isInsecure) {
      throw new IllegalArgumentException(
          "the provider's address must be https://…, so that the key is not sent in the clear; it"
              + " is "
              + url
              + ". For a control plane of your own on a private network, add --insecure");
    }
    try {
      if (!isPrivate(InetAddress.getAllByName(uri.getHost()))) {
        throw new IllegalArgumentException(
            "--insecure allows plain http:// to a private address only (10.0.0.0/8, 172.16.0.0/12,"
                + " 192.168.0.0/16, fc00::/7, this machine), and "
                + uri.getHost()
                + " is not one; use https://");
      }
    } catch (UnknownHostException unknown) {
      throw new IllegalArgumentException(
          "there is no host "
              + uri.getHost()
              + ", so whether it is private can't be seen; check the name, or use https://",
          unknown);
    }
  }

  static boolean isPrivate(InetAddress... addresses) {
    return Arrays.stream(addresses)
        .allMatch(address ->
            address.isLoopbackAddress()
                || (address.getAddress().length == 4
                    ? address.isSiteLocalAddress()
                    : (address.getAddress()[0] & UNIQUE_LOCAL_MASK) == UNIQUE_LOCAL));
  }

  @Override
  public String toString() {
    return uri.toString();
  }
}
