package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Credentials;
import dev.podflare.cli.client.Environment;
import dev.podflare.server.ApiKeys;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Who may come in, decided at the start of a server.
 *
 * <p>{@code PODFLARE_AUTH_DISABLED=1} lets everybody in, on a loopback address only. Otherwise
 * those of {@code PODFLARE_API_KEYS}, and the server's own key, which is made at the first start
 * and written to the credentials files.
 *
 * @param keys for the server
 * @param own the key that goes into the credentials files
 */
record KeyRing(ApiKeys keys, String own) {

  static KeyRing at(Path dataDirectory) throws CommandFailure {
    Optional<Credentials> before = Credentials.read(Credentials.serverFile(dataDirectory));
    String own = before.map(Credentials::api_key).orElseGet(ApiKeys::generate);
    if (Environment.value("PODFLARE_AUTH_DISABLED", "").equals("1")) {
      return new KeyRing(ApiKeys.notRequired(), own);
    }
    List<String> accepted = new ArrayList<>(List.of(own));
    Arrays.stream(Environment.value("PODFLARE_API_KEYS", "").split(",", -1))
        .map(String::strip)
        .filter(key -> !key.isEmpty())
        .forEach(accepted::add);
    try {
      return new KeyRing(ApiKeys.of(accepted), own);
    } catch (IllegalArgumentException e) {
      throw new CommandFailure("PODFLARE_API_KEYS can't be used: " + e.getMessage(), e);
    }
  }

  /** Tells programs on this machine how to come in. */
  void publish(InetSocketAddress address, Path dataDirectory) throws IOException {
    Credentials credentials = new Credentials(url(address), own);
    credentials.writeTo(Credentials.serverFile(dataDirectory));
    credentials.writeTo(Credentials.userFile());
  }

  /** How programs on this machine name an address. */
  String url(InetSocketAddress address) {
    String host = address.getAddress().isAnyLocalAddress() ? "127.0.0.1" : literal(address);
    return "http://" + host + ":" + address.getPort();
  }

  private static String literal(InetSocketAddress address) {
    String text = address.getAddress().getHostAddress();
    return text.contains(":") ? "[" + text + "]" : text;
  }
}
