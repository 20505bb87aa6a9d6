package dev.podflare.sandbox;

import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Names a sandbox.
 *
 * @param value {@code sbx_} and 32 lower-case hexadecimal digits
 */
public record SandboxId(String value) {

  private static final Pattern FORM = Pattern.compile("sbx_[0-9a-f]{32}");
  private static final SecureRandom RANDOM = new SecureRandom();

  public SandboxId {
    if (!FORM.matcher(value).matches()) {
      throw new IllegalArgumentException("not a sandbox id");
    }
  }

  /** Reads an id that came from outside; empty if it has not the form of one. */
  public static Optional<SandboxId> parse(String text) {
    return FORM.matcher(text).matches() ? Optional.of(new SandboxId(text)) : Optional.empty();
  }

  public static SandboxId random() {
    byte[] bytes = new byte[16];
    RANDOM.nextBytes(bytes);
    return new SandboxId("sbx_" + HexFormat.of().formatHex(bytes));
  }

  @Override
  public String toString() {
    return value;
  }
}
