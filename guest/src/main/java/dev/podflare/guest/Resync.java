package dev.podflare.guest;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * A new beginning on a channel that was cut anywhere: the token, which tells the agent to forget
 * what it was in the middle of, and a nonce, by which its answer is told from an answer to somebody
 * who began anew before and did not live to read it.
 */
final class Resync {

  private static final int NONCE = 8;
  private static final SecureRandom RANDOM = new SecureRandom();

  private final byte[] words;

  Resync(ResyncToken token) {
    byte[] nonce = new byte[NONCE];
    RANDOM.nextBytes(nonce);
    byte[] hex = HexFormat.of().formatHex(nonce).getBytes(StandardCharsets.US_ASCII);
    words = Arrays.copyOf(token.bytes(), ResyncToken.BYTES + hex.length);
    System.arraycopy(hex, 0, words, ResyncToken.BYTES, hex.length);
  }

  /** What the host says, and the agent says again. */
  byte[] words() {
    return words.clone();
  }

  /**
   * Throws away what the guest had on its way, up to its answer.
   *
   * @return the last number that was given to a stream; those up to it are never given again
   */
  int readAnswer(FrameReader reader) throws IOException, ProtocolViolation {
    reader.skipPast(words, Limits.BEFORE_RESYNC);
    int last = reader.number();
    if (last < 0 || last > Limits.LAST_STREAM) {
      throw new ProtocolViolation("it resumed after a stream that can't have been opened");
    }
    return last;
  }
}
