package dev.podflare.host;

import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The resolvers that the questions of guests go to: those of the host, as its files name them at
 * the moment.
 *
 * <p>Left out are those on the host's loopback, where nothing of a guest may come, and those
 * without an IPv4 address. systemd-resolved, which is one on the loopback, names those behind it in
 * a file of its own.
 */
public final class HostResolvers {

  /** As many as a guest has name servers, and as the C library asks. */
  static final int MOST = 3;

  /** Names a file in the form of resolv.conf(5) to take in place of the host's. */
  private static final String SETTING = "PODFLARE_RESOLV_CONF";

  private static final List<Path> OF_HOST =
      List.of(Path.of("/etc/resolv.conf"), Path.of("/run/systemd/resolve/resolv.conf"));
  private static final int LARGEST_FILE = 64 * 1024;
  private static final Pattern NAMESERVER = Pattern.compile("nameserver\\s+(\\S+).*");

  private final List<Path> files;

  HostResolvers(List<Path> files) {
    this.files = files;
  }

  /** Those of this host, or of the file that {@code PODFLARE_RESOLV_CONF} names. */
  public static HostResolvers ofHost() {
    String file = System.getenv(SETTING);
    return new HostResolvers(file == null || file.isBlank() ? OF_HOST : List.of(Path.of(file)));
  }

  /**
   * Reads the files.
   *
   * @return the addresses in the first file that has any, in their order, {@value #MOST} at most;
   *     empty if the host has no resolver that a guest could ask
   */
  public List<String> addresses() throws HostException {
    for (Path file : files) {
      List<String> found = addressesIn(file);
      if (!found.isEmpty()) {
        return found;
      }
    }
    return List.of();
  }

  private static List<String> addressesIn(Path file) throws HostException {
    List<String> found = new ArrayList<>();
    for (String line : linesOf(file)) {
      Matcher matcher = NAMESERVER.matcher(line.strip());
      if (found.size() < MOST
          && matcher.matches()
          && isUsable(matcher.group(1))
          && !found.contains(matcher.group(1))) {
        found.add(matcher.group(1));
      }
    }
    return List.copyOf(found);
  }

  private static List<String> linesOf(Path file) throws HostException {
    if (!Files.isReadable(file)) {
      return List.of();
    }
    try (var content = Files.newInputStream(file)) {
      byte[] bytes = content.readNBytes(LARGEST_FILE);
      return new String(bytes, StandardCharsets.ISO_8859_1).lines().toList();
    } catch (IOException e) {
      throw new HostException(file + " can't be read", e);
    }
  }

  private static boolean isUsable(String text) {
    try {
      InetAddress address = InetAddress.ofLiteral(text);
      return address instanceof Inet4Address
          && address.getHostAddress().equals(text)
          && !address.isLoopbackAddress()
          && !address.isAnyLocalAddress();
    } catch (IllegalArgumentException notAnAddress) {
      return false;
    }
  }
}
