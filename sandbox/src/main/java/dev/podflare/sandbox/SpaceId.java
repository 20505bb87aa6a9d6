package dev.podflare.sandbox;

import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Names a Space.
 *
 * @param value {@code spc_} and 32 lower-case hexadecimal digits. Checked here, because it becomes
 *     a directory's name.
 */
public record SpaceId(String value) {

  private static final Pattern FORM = Pattern.compile("spc_[0-9a-f]{32}");
  private static final SecureRandom RANDOM = new SecureRandom();

  public SpaceId {
    if (!FORM.matcher(value).matches()) {
      throw new IllegalArgumentException("not a Space's id");
    }
  }

  /** Reads an id that came from outside; empty if it has not the form of one. */
  public static Optional<SpaceId> parse(String text) {
    return FORM.matcher(text).matches() ? Optional.of(new SpaceId(text)) : Optional.empty();
  }

  public static SpaceId random() {
    byte[] bytes = new byte[16];
    RANDOM.nextBytes(bytes);
    return new SpaceId("spc_" + HexFormat.of().formatHex(bytes));
  }

  @Override
  public String toString() {
    return value;
  }
}
