package dev.podflare.server;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;

/**
 * The keys that open this server, kept as SHA-256 hashes only.
 *
 * <p>A plain hash is enough, and no slow one is needed, because a key is 256 random bits: there is
 * nothing to guess. Immutable.
 */
public final class ApiKeys {

  /** Marks what is made while no keys are asked for. */
  private static final String OWNER_WITHOUT_KEYS = "local";

  private static final SecureRandom RANDOM = new SecureRandom();
  private static final int OWNER_DIGITS = 24;

  private final List<byte[]> hashes;
  private final boolean required;

  private ApiKeys(List<byte[]> hashes, boolean required) {
    this.hashes = hashes;
    this.required = required;
  }

  /**
   * Only who has one of these keys may come in. No keys at all let nobody in.
   *
   * @throws IllegalArgumentException if a key is blank or holds white space
   */
  public static ApiKeys of(Collection<String> keys) {
    for (String key : keys) {
      if (key.isEmpty() || key.chars().anyMatch(c -> c <= ' ' || c > '~')) {
        throw new IllegalArgumentException(
            "An API key is made of printable ASCII characters without spaces.");
      }
    }
    return new ApiKeys(keys.stream().map(ApiKeys::hash).toList(), true);
  }

  /** Everybody may come in; a server takes that on a loopback address only. */
  public static ApiKeys notRequired() {
    return new ApiKeys(List.of(), false);
  }

  /** Makes a new key: {@code pf_live_} and 256 random bits. */
  public static String generate() {
    byte[] bytes = new byte[32];
    RANDOM.nextBytes(bytes);
    return "pf_live_" + HexFormat.of().formatHex(bytes);
  }

  boolean required() {
    return required;
  }

  /** Whose sandboxes are made without keys. */
  String ownerWithoutKeys() {
    return OWNER_WITHOUT_KEYS;
  }

  /**
   * The mark under which this key's sandboxes are kept, the same at every start; empty if the key
   * is none of these.
   */
  Optional<String> ownerOf(String key) {
    byte[] presented = hash(key);
    boolean known = false;
    for (byte[] hash : hashes) {
      // Every hash is compared, so that the time does not say which key was nearly right.
      known |= MessageDigest.isEqual(hash, presented);
    }
    return known
        ? Optional.of("key_" + HexFormat.of().formatHex(presented).substring(0, OWNER_DIGITS))
        : Optional.empty();
  }

  private static byte[] hash(String key) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(key.getBytes(StandardCharsets.UTF_8));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java has SHA-256", e);
    }
  }
}
