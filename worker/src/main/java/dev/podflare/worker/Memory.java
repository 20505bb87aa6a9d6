package dev.podflare.worker;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/**
 * One text of a memory store, as the provider has it.
 *
 * @param path relative to the store's directory
 * @param hash of its content: SHA-256 in lower-case hexadecimal digits
 */
record Memory(String id, String path, String hash) {
  /** Documented: what a memory may have. */
  static final int LARGEST = 102_400;

  static String hash(byte[] content) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException("every Java has SHA-256", impossible);
    }
  }

  static String hash(String content) {
    return hash(content.getBytes(StandardCharsets.UTF_8));
  }
}
