package dev.podflare.guest;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;

/**
 * Turns the bytes of one output stream into text as they come. A character that is split between
 * two pieces comes out whole, with the second; bytes that are not UTF-8 become U+FFFD.
 */
final class TextDecoder {

  private static final byte[] NOTHING = {};

  private final CharsetDecoder decoder =
      StandardCharsets.UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPLACE)
          .onUnmappableCharacter(CodingErrorAction.REPLACE);

  /** The beginning of a character whose end has not come yet: three bytes at most. */
  private byte[] begun = NOTHING;

  /** The text of these bytes; empty if they are but a part of a character. */
  String decode(ByteBuffer bytes) {
    ByteBuffer input = bytes;
    if (begun.length > 0) {
      input = ByteBuffer.allocate(begun.length + bytes.remaining()).put(begun).put(bytes).flip();
    }
    CharBuffer text = CharBuffer.allocate(input.remaining());
    decoder.decode(input, text, false);
    begun = input.hasRemaining() ? new byte[input.remaining()] : NOTHING;
    input.get(begun);
    return text.flip().toString();
  }

  /** What is left at the end: U+FFFD for a character that never became whole, or nothing. */
  String end() {
    ByteBuffer input = ByteBuffer.wrap(begun);
    begun = NOTHING;
    CharBuffer text = CharBuffer.allocate(4);
    decoder.decode(input, text, true);
    decoder.flush(text);
    decoder.reset();
    return text.flip().toString();
  }
}
