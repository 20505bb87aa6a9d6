package dev.podflare.guest;

import java.security.SecureRandom;
import java.util.Base64;

/** 64 random bytes for the generators of one clone. A secret: no two clones may share it. */
public final class Entropy {

  private static final int BYTES = 64;
  private static final SecureRandom RANDOM = new SecureRandom();

  private final byte[] bytes;

  private Entropy(byte[] bytes) {
    this.bytes = bytes;
  }

  /** Fresh entropy of the host. */
  public static Entropy fresh() {
    byte[] bytes = new byte[BYTES];
    RANDOM.nextBytes(bytes);
    return new Entropy(bytes);
  }

  String base64() {
    return Base64.getEncoder().encodeToString(bytes);
  }
}
