package dev.podflare.cli.client;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The server that a command asks, by the rule of the SDKs: address and key are looked up each on
 * its own, and the first one found wins: the option, the environment, the user's file. One
 * exception, for safety: the key in that file opens the server that wrote it, so it is never sent
 * to another host.
 *
 * @param url without a slash at its end
 * @param urlSource where the address comes from, for messages
 * @param key empty if none is configured, which a server without keys accepts
 * @param keySource where the key comes from, for messages; empty without a key
 */
public record ServerAddress(String url, String urlSource, String key, String keySource) {

  static final String URL_OPTION = "--server";
  static final String KEY_OPTION = "--api-key-file";

  /** Where a server on this machine listens, if only a key is configured. */
  private static final String DEFAULT_URL = "http://127.0.0.1:7070";

  private static final Set<String> LOOPBACK = Set.of("127.0.0.1", "localhost", "[::1]");
  private static final Pattern ONE_WORD = Pattern.compile("[!-~]+");
  private static final int MAX_KEY_FILE = 8192;

  /**
   * Finds address and key.
   *
   * @param url the option's, if it was given
   * @param keyFile the option's, if it was given
   * @throws CommandFailure with {@link CommandFailure#NO_SERVER} if nothing is configured
   */
  static ServerAddress require(
      @Nullable String url, @Nullable Path keyFile, Map<String, String> environment, Path userFile)
      throws CommandFailure {
    return find(url, keyFile, environment, userFile)
        .orElseThrow(() ->
            new CommandFailure(
                CommandFailure.NO_SERVER,
                "no server is configured: there is no --server, no PODFLARE_HOSTD_URL and no "
                    + userFile
                    + "; start one on this machine with: podflare up --detach"));
  }

  private static Optional<ServerAddress> find(
      @Nullable String url, @Nullable Path keyFile, Map<String, String> environment, Path userFile)
      throws CommandFailure {
    Found address = firstUrl(url, environment);
    Found key = firstKey(keyFile, environment);
    if (address.isMissing() || key.isMissing()) {
      Optional<Credentials> saved = Credentials.read(userFile);
      if (saved.isPresent()) {
        Found own = new Found(normal(saved.get().host(), userFile.toString()), userFile.toString());
        boolean isOwn = address.isMissing() || isSameServer(address.value(), own.value());
        address = address.isMissing() ? own : address;
        if (key.isMissing() && isOwn) {
          key = new Found(saved.get().api_key(), userFile.toString());
        }
      }
    }
    if (address.isMissing() && key.isMissing()) {
      return Optional.empty();
    }
    if (address.isMissing()) {
      address = new Found(DEFAULT_URL, "the default");
    }
    if (!key.isMissing() && !ONE_WORD.matcher(key.value()).matches()) {
      throw new CommandFailure(
          "the API key from %s has a blank or a character that no key has; copy it again"
              .formatted(key.source()));
    }
    return Optional.of(
        new ServerAddress(address.value(), address.source(), key.value(), key.source()));
  }

  /** A value, and where it was found; empty if nowhere. */
  private record Found(String value, String source) {

    static final Found NOTHING = new Found("", "");

    boolean isMissing() {
      return value.isEmpty();
    }
  }

  private static Found firstUrl(@Nullable String option, Map<String, String> environment)
      throws CommandFailure {
    if (option != null) {
      return new Found(normal(option, URL_OPTION), URL_OPTION);
    }
    for (String variable : new String[] {"PODFLARE_HOSTD_URL", "PODFLARE_HOST"}) {
      String value = environment.getOrDefault(variable, "");
      if (!value.isBlank()) {
        return new Found(normal(value, variable), variable);
      }
    }
    return Found.NOTHING;
  }

  private static Found firstKey(@Nullable Path file, Map<String, String> environment)
      throws CommandFailure {
    if (file != null) {
      return new Found(readKey(file), KEY_OPTION);
    }
    String value = environment.getOrDefault("PODFLARE_API_KEY", "");
    return value.isBlank() ? Found.NOTHING : new Found(value, "PODFLARE_API_KEY");
  }

  private static String readKey(Path file) throws CommandFailure {
    try {
      if (Files.size(file) > MAX_KEY_FILE) {
        throw new CommandFailure(KEY_OPTION + " must name a file with one key in it: " + file);
      }
      String key = Files.readString(file).strip();
      if (key.isEmpty()) {
        throw new CommandFailure(KEY_OPTION + " names an empty file: " + file);
      }
      return key;
    } catch (IOException e) {
      throw new CommandFailure(
          KEY_OPTION + " names a file that can't be read: " + FileProblem.of(file, e), e);
    }
  }

  /** {@code scheme://name:port/prefix} without a slash at its end; without a scheme, http. */
  private static String normal(String given, String source) throws CommandFailure {
    String url = given.strip();
    if (!url.contains("://")) {
      url = "http://" + url;
    }
    try {
      URI uri = new URI(url);
      boolean isUsable =
          ("http".equals(uri.getScheme()) || "https".equals(uri.getScheme()))
              && uri.getHost() != null
              && uri.getPort() != 0
              && uri.getPort() <= 65535
              && uri.getUserInfo() == null
              && uri.getQuery() == null
              && uri.getFragment() == null;
      if (isUsable) {
        return url.replaceAll("/+$", "");
      }
    } catch (URISyntaxException e) {
      throw notAnAddress(given, source);
    }
    throw notAnAddress(given, source);
  }

  private static CommandFailure notAnAddress(String given, String source) {
    return new CommandFailure(
        "%s must be the address of a server, such as http://127.0.0.1:7070, but is %s"
            .formatted(source, given));
  }

  private static boolean isSameServer(String one, String other) {
    URI a = URI.create(one);
    URI b = URI.create(other);
    return a.getScheme().equals(b.getScheme())
        && a.getPort() == b.getPort()
        && Objects.equals(a.getPath(), b.getPath())
        && (a.getHost().equals(b.getHost())
            || (LOOPBACK.contains(a.getHost()) && LOOPBACK.contains(b.getHost())));
  }

  /** Where a server listens if nobody says otherwise, without a key. */
  public static ServerAddress usual() {
    return new ServerAddress(DEFAULT_URL, "the default", "", "");
  }

  /** Whether a program that is told nothing finds address and key in this file. */
  public boolean isFrom(Path file) {
    return urlSource.equals(file.toString()) && (key.isEmpty() || keySource.equals(urlSource));
  }

  /** Whether it is on this machine, where {@code podflare up} could start it. */
  public boolean isLocal() {
    return LOOPBACK.contains(URI.create(url).getHost());
  }

  /** Such as {@code http://127.0.0.1:7070 (from PODFLARE_HOSTD_URL)}. */
  public String inWords() {
    return url + " (from " + urlSource + ")";
  }
}
