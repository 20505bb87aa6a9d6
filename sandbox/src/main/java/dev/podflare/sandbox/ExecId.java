package dev.podflare.sandbox;

import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Names an exec.
 *
 * @param value {@code exe_} and 32 lower-case hexadecimal digits
 */
public record ExecId(String value) {

  private static final Pattern FORM = Pattern.compile("exe_[0-9a-f]{32}");
  private static final SecureRandom RANDOM = new SecureRandom();

  public ExecId {
    if (!FORM.matcher(value).matches()) {
      throw new IllegalArgumentException("not the id of an exec");
    }
  }

  /** Reads an id that came from outside; empty if it has not the form of one. */
  public static Optional<ExecId> parse(String text) {
    return FORM.matcher(text).matches() ? Optional.of(new ExecId(text)) : Optional.empty();
  }

  public static ExecId random() {
    byte[] bytes = new byte[16];
    RANDOM.nextBytes(bytes);
    return new ExecId("exe_" + HexFormat.of().formatHex(bytes));
  }

  @Override
  public String toString() {
    return value;
  }
}
