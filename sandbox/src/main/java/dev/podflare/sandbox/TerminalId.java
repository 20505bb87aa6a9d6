package dev.podflare.sandbox;

import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Names a terminal within its sandbox. A copy of the sandbox has its terminals under the same
 * names.
 *
 * @param value {@code pty_} and 32 lower-case hexadecimal digits
 */
public record TerminalId(String value) {

  private static final Pattern FORM = Pattern.compile("pty_[0-9a-f]{32}");
  private static final SecureRandom RANDOM = new SecureRandom();

  public TerminalId {
    if (!FORM.matcher(value).matches()) {
      throw new IllegalArgumentException("not a terminal id");
    }
  }

  /** Reads an id that came from outside; empty if it has not the form of one. */
  public static Optional<TerminalId> parse(String text) {
    return FORM.matcher(text).matches() ? Optional.of(new TerminalId(text)) : Optional.empty();
  }

  public static TerminalId random() {
    byte[] bytes = new byte[16];
    RANDOM.nextBytes(bytes);
    return new TerminalId("pty_" + HexFormat.of().formatHex(bytes));
  }

  @Override
  public String toString() {
    return value;
  }
}
