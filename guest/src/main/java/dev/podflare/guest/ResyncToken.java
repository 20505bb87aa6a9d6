package dev.podflare.guest;

import java.util.Arrays;
import java.util.HexFormat;

/**
 * By what the agent of a machine knows that the host begins anew on a channel that was cut, maybe
 * in the middle of a frame. The agent makes it when it boots, so a machine and all its clones have
 * the same.
 *
 * <p>Its form keeps it apart from everything else that the host sends (docs/agent-protocol.md): 32
 * bytes, the first of them FF, the others 80 to FE. It is no secret.
 */
public final class ResyncToken {

  static final int BYTES = 32;

  private static final byte FIRST = (byte) 0xFF;

  /**
   * So many bytes at the end of the token are kept out of payloads. The others could stand in the
   * header before it: at most the number of the stream, since all before that is below 80.
   */
  private static final int END = BYTES - Integer.BYTES;

  private final byte[] bytes;

  /** By how much the search goes on after a byte: Horspool's way to find the token's end. */
  private final int[] shift = new int[256];

  private ResyncToken(byte[] bytes) {
    this.bytes = bytes;
    Arrays.fill(shift, END);
    for (int i = 0; i < END - 1; i++) {
      shift[bytes[BYTES - END + i] & 0xFF] = END - 1 - i;
    }
  }

  /**
   * Reads what {@link #hex} wrote.
   *
   * @throws IllegalArgumentException if it is not a token
   */
  public static ResyncToken parse(String hex) {
    byte[] bytes = hex.length() == 2 * BYTES ? HexFormat.of().parseHex(hex) : new byte[0];
    if (bytes.length != BYTES || bytes[0] != FIRST) {
      throw new IllegalArgumentException("no resync token");
    }
    for (int i = 1; i < BYTES; i++) {
      if (bytes[i] >= 0 || bytes[i] == FIRST) {
        throw new IllegalArgumentException("no resync token");
      }
    }
    return new ResyncToken(bytes);
  }

  /** The token in 64 hexadecimal digits. */
  public String hex() {
    return HexFormat.of().formatHex(bytes);
  }

  /**
   * Whether a frame that ends with this number ends with what may be the beginning of a token. The
   * agent would wait for more, so the host sends no such frame.
   */
  static boolean mayBeginIn(int number) {
    return (byte) number == FIRST;
  }

  /**
   * Where a payload has to be cut in two, so that the agent does not take it for the token.
   *
   * @return {@code end} if it has not
   */
  int cutIn(byte[] payload, int begin, int end) {
    int at = begin;
    while (at + END <= end) {
      if (Arrays.equals(payload, at, at + END, bytes, BYTES - END, BYTES)) {
        return at + 1;
      }
      at += shift[payload[at + END - 1] & 0xFF];
    }
    return end;
  }

  byte[] bytes() {
    return bytes.clone();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof ResyncToken token && Arrays.equals(bytes, token.bytes);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(bytes);
  }

  @Override
  public String toString() {
    return hex();
  }
}
