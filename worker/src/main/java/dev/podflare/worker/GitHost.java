package dev.podflare.worker;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The host from which repositories are cloned. The API never tells the token that a session was
 * created with, so private repositories need one of the worker's own.
 */
public final class GitHost {
  /** The host that is meant unless another is named. */
  public static final String USUAL = "github.com";

  private static final Pattern NAME = Pattern.compile("[a-z0-9.-]{1,253}(:[0-9]{1,5})?");

  private final String name;
  private final @Nullable String token;
  private final @Nullable Path authorities;

  private GitHost(String name, @Nullable String token, @Nullable Path authorities) {
    this.name = name;
    this.token = token;
    this.authorities = authorities;
  }

  /**
   * A host.
   *
   * @param name {@code HOST} or {@code HOST:PORT}
   * @param tokenFile a file of mode 0600 with a token that may read repositories, or null
   * @param authorities certificate authorities of a host that is not the usual one, or null
   * @throws IllegalArgumentException it can't be used; the text is for a person
   */
  public static GitHost of(String name, @Nullable Path tokenFile, @Nullable Path authorities) {
    String host = name.toLowerCase(Locale.ROOT);
    if (!NAME.matcher(host).matches()) {
      throw new IllegalArgumentException(
          "--git-host is HOST or HOST:PORT, such as github.example.org; it is " + name);
    }
    String token = tokenFile == null ? null : SecretFile.read(tokenFile, "--git-token-file");
    return new GitHost(host, token, host.equals(USUAL) ? null : authorities);
  }

  boolean isHostOf(Attachments.Repository repository) {
    String host = repository.url().getHost().toLowerCase(Locale.ROOT);
    int port = repository.url().getPort();
    return name.equals(port < 0 ? host : host + ":" + port);
  }

  String url() {
    return "https://" + name + "/";
  }

  /** The header that opens private repositories. */
  Optional<String> authorization() {
    return Optional.ofNullable(token)
        .map(secret ->
            "Authorization: Basic "
                + Base64.getEncoder()
                    .encodeToString(
                        ("x-access-token:" + secret).getBytes(StandardCharsets.US_ASCII)));
  }

  Optional<Path> authorities() {
    return Optional.ofNullable(authorities);
  }

  @Override
  public String toString() {
    return name;
  }
}
