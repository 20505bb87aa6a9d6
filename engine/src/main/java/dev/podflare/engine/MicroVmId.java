package dev.podflare.engine;

import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.regex.Pattern;

/**
 * Names one microVM on this host for as long as the host lives; never used twice.
 *
 * @param value 16 lower-case hexadecimal digits. Checked here, because it becomes a directory's
 *     name.
 */
public record MicroVmId(String value) {

  private static final Pattern FORM = Pattern.compile("[0-9a-f]{16}");
  private static final SecureRandom RANDOM = new SecureRandom();

  public MicroVmId {
    if (!FORM.matcher(value).matches()) {
      throw new IllegalArgumentException("not a microVM id");
    }
  }

  public static MicroVmId random() {
    byte[] bytes = new byte[8];
    RANDOM.nextBytes(bytes);
    return new MicroVmId(HexFormat.of().formatHex(bytes));
  }

  @Override
  public String toString() {
    return value;
  }
}
