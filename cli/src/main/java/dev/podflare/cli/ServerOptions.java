package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Environment;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Option;

/** Which server of this machine is started or stopped. Two can run beside each other. */
final class ServerOptions {

  private static final Pattern ADDRESS = Pattern.compile("(.+):(\\d{1,5})");
  private static final String DEFAULT_ADDRESS = "127.0.0.1:7070";
  private static final String DEFAULT_DATA_DIR = "/var/lib/podflare";

  @Option(
      names = "--addr",
      paramLabel = "HOST:PORT",
      description =
          "Where the server listens (default: $PODFLARE_HOSTD_ADDR, or 127.0.0.1:7070; port 0 takes a"
              + " free one).")
  private String address = Environment.value("PODFLARE_HOSTD_ADDR", DEFAULT_ADDRESS);

  @Option(
      names = "--data-dir",
      paramLabel = "DIR",
      description =
          "Where the server keeps templates, sandboxes and its registry (default: $PODFLARE_DATA_DIR,"
              + " or /var/lib/podflare). Two servers need two of them.")
  private Path dataDirectory = Path.of(Environment.value("PODFLARE_DATA_DIR", DEFAULT_DATA_DIR));

  /** Where a server keeps what it has, if no option says otherwise. */
  static Path configuredDataDirectory() {
    return new ServerOptions().dataDirectory();
  }

  Path dataDirectory() {
    return dataDirectory.toAbsolutePath().normalize();
  }

  InetSocketAddress address() throws CommandFailure {
    Matcher matcher = ADDRESS.matcher(address);
    if (!matcher.matches() || Integer.parseInt(matcher.group(2)) > 65535) {
      throw new CommandFailure(
          "--addr must be HOST:PORT, such as " + DEFAULT_ADDRESS + ", but is " + address);
    }
    String host = matcher.group(1).replaceAll("^\\[|\\]$", "");
    try {
      return new InetSocketAddress(InetAddress.getByName(host), Integer.parseInt(matcher.group(2)));
    } catch (UnknownHostException e) {
      throw new CommandFailure("--addr names a host that is not known: " + host, e);
    }
  }
}
