package dev.podflare.sdk;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Where the server is and which key opens it: the first one found counts.
 *
 * <p>Host and key are looked up each on its own: what the program says, then the environment
 * ({@code PODFLARE_HOSTD_URL}, its older name {@code PODFLARE_HOST}, and {@code PODFLARE_API_KEY}),
 * then the file {@code podflare/config.json} below {@code $XDG_CONFIG_HOME} ({@code ~/.config})
 * that a server writes on its machine. One exception, for safety: the key in that file opens the
 * server which wrote it, so it is never sent to another host.
 *
 * @param host the server's address without a slash at its end
 * @param keySource where the key was found, for a person
 */
record Settings(
    String host, @Nullable String apiKey, String keySource, @Nullable String traceparent) {
  static final String DEFAULT_HOST = "http://127.0.0.1:7070";
  private static final Set<String> LOOPBACK = Set.of("127.0.0.1", "localhost", "::1", "[::1]");
  private static final long LONGEST_FILE_BYTES = 64 * 1024;

  private record Saved(@Nullable String host, @Nullable String apiKey) {}

  /**
   * Finds host and key.
   *
   * @throws AuthenticationException neither a host nor a key is configured anywhere
   * @throws InvalidRequestException the host is no address, or the key is none that a header may be
   */
  static Settings resolve(
      @Nullable String host,
      @Nullable String apiKey,
      @Nullable String traceparent,
      Map<String, String> environment) {
    String askedHost =
        first(host, environment.get("PODFLARE_HOSTD_URL"), environment.get("PODFLARE_HOST"));
    String key = first(apiKey, environment.get("PODFLARE_API_KEY"));
    String source = first(apiKey) != null ? "the program's apiKey" : "PODFLARE_API_KEY";
    String url = askedHost == null ? null : normalHost(askedHost);
    if (url == null || key == null) {
      Path path = credentialsPath(environment);
      Saved saved = read(path);
      if (url == null && saved.host() != null) {
        url = normalHost(saved.host());
      }
      if (key == null && saved.apiKey() != null) {
        String writer = saved.host() == null ? DEFAULT_HOST : normalHost(saved.host());
        if (url == null || isSameServer(url, writer)) {
          key = saved.apiKey();
          source = path.toString();
        }
      }
      if (url == null && key == null) {
        throw new AuthenticationException(
            Failure.of("no Podflare server and no API key are configured")
                .code("no_api_key")
                .hint(howToGetAKey(environment)));
      }
    }
    if (key != null && !isOneWord(key)) {
      throw Failures.invalid(
          "invalid_api_key",
          "the API key from " + source + " has a character that can't be part of a key",
          "copy the key again");
    }
    String trace = first(traceparent, environment.get("PODFLARE_TRACEPARENT"));
    return new Settings(
        url == null ? DEFAULT_HOST : url,
        key,
        key == null ? "" : source,
        trace == null ? null : validTraceparent(trace));
  }

  /** The sentence for somebody who has no key. */
  static String howToGetAKey(Map<String, String> environment) {
    return "on the server's machine `./podflare up` writes one to "
        + credentialsPath(environment)
        + "; elsewhere set PODFLARE_HOSTD_URL and PODFLARE_API_KEY, or give host and apiKey to"
        + " Client.builder()";
  }

  /** Where the server on this machine leaves its address and first key. */
  static Path credentialsPath(Map<String, String> environment) {
    String base = environment.getOrDefault("XDG_CONFIG_HOME", "");
    // As the XDG specification says: a relative one is ignored.
    Path directory =
        !base.isEmpty() && Path.of(base).isAbsolute()
            ? Path.of(base)
            : Path.of(home(environment), ".config");
    return directory.resolve("podflare").resolve("config.json");
  }

  /**
   * The value itself, if it may be a header.
   *
   * @throws InvalidRequestException it has a blank or a character that no trace context has
   */
  static String validTraceparent(String value) {
    if (!isOneWord(value)) {
      throw Failures.invalid(
          "invalid_traceparent",
          "\"" + value + "\" is no trace context",
          "a traceparent looks like 00-<32 hex>-<16 hex>-01");
    }
    return value;
  }

  /** A scheme, a name, a port and maybe a path, without a slash at the end. */
  static String normalHost(String host) {
    String url = host.strip();
    if (!url.contains("://")) {
      url = "http://" + url;
    }
    URI address = parsed(url);
    boolean valid =
        address != null
            && ("http".equals(address.getScheme()) || "https".equals(address.getScheme()))
            && address.getHost() != null
            && address.getPort() != 0
            && address.getPort() <= 65535
            && address.getRawUserInfo() == null
            && address.getRawQuery() == null
            && address.getRawFragment() == null;
    if (!valid) {
      throw Failures.invalid(
          "invalid_host",
          "\"" + host + "\" is not the address of a server",
          "write it like http://127.0.0.1:7070");
    }
    return url.replaceAll("/+$", "");
  }

  static boolean isOneWord(String text) {
    return !text.isEmpty() && text.chars().allMatch(c -> c > ' ' && c < 0x7F);
  }

  private static @Nullable URI parsed(String url) {
    try {
      return new URI(url);
    } catch (URISyntaxException wrong) {
      return null; // The caller says so with the text that was given.
    }
  }

  private static boolean isSameServer(String one, String other) {
    URI a = URI.create(one);
    URI b = URI.create(other);
    boolean sameName =
        a.getHost().equalsIgnoreCase(b.getHost()) || (isLoopback(a) && isLoopback(b));
    return sameName
        && a.getScheme().equals(b.getScheme())
        && a.getPort() == b.getPort()
        && Objects.equals(a.getRawPath(), b.getRawPath());
  }

  private static boolean isLoopback(URI address) {
    return LOOPBACK.contains(address.getHost().toLowerCase(Locale.ROOT));
  }

  private static Saved read(Path path) {
    try {
      if (!Files.isRegularFile(path)) {
        return new Saved(null, null);
      }
      if (Files.size(path) > LONGEST_FILE_BYTES) {
        throw new IOException("it is longer than 64 KiB");
      }
      byte[] bytes = Files.readAllBytes(path);
      Fields fields = new Fields(Json.read(bytes));
      return new Saved(first(fields.textOrNull("host")), first(fields.textOrNull("api_key")));
    } catch (NoSuchFileException gone) {
      return new Saved(null, null);
    } catch (IOException | ServerException unreadable) {
      throw new InvalidRequestException(
          Failure.of("can't read the credentials in " + path + ": " + unreadable.getMessage())
              .code("unreadable_config")
              .hint("mend or remove the file, or set PODFLARE_HOSTD_URL and PODFLARE_API_KEY")
              .cause(unreadable));
    }
  }

  private static String home(Map<String, String> environment) {
    String home = first(environment.get("HOME"), System.getProperty("user.home"));
    return home == null ? "." : home;
  }

  private static @Nullable String first(@Nullable String... values) {
    for (String value : values) {
      if (value != null && !value.isEmpty()) {
        return value;
      }
    }
    return null;
  }
}
