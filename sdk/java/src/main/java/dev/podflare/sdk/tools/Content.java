package dev.podflare.sdk.tools;

/** A part of what a model is told. */
public sealed interface Content {

  /** Text. That of the tools here is never empty. */
  record Text(String text) implements Content {}

  /**
   * A picture, which is what its type says.
   *
   * @param mediaType {@code image/png}, {@code image/jpeg}, {@code image/gif} or {@code image/webp}
   * @param base64 its bytes, at most 5,000,000 characters of base64 without white space
   */
  record Image(String mediaType, String base64) implements Content {}
}
