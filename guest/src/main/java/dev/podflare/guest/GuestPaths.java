package dev.podflare.guest;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.CodingErrorAction;
import java.util.Collection;

/**
 * File names between the bytes that they are and text. A byte that is no part of UTF-8 becomes a
 * surrogate without its pair, U+DC80 to U+DCFF (Python's "surrogateescape"), so each name has its
 * own text and finds its way back.
 */
final class GuestPaths {

  private static final char ESCAPE = '\uDC00';

  private GuestPaths() {}

  static String decode(byte[] bytes) {
    String text = new String(bytes, UTF_8);
    // Without a replacement character in it, nothing was replaced.
    return text.indexOf('\uFFFD') < 0 ? text : decodeEscaping(bytes);
  }

  private static String decodeEscaping(byte[] bytes) {
    CharsetDecoder decoder =
        UTF_8
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPORT)
            .onUnmappableCharacter(CodingErrorAction.REPORT);
    ByteBuffer in = ByteBuffer.wrap(bytes);
    CharBuffer out = CharBuffer.allocate(bytes.length);
    CoderResult result = decoder.decode(in, out, true);
    while (result.isError()) {
      for (int i = 0; i < result.length(); i++) {
        out.put((char) (ESCAPE + (in.get() & 0xFF)));
      }
      decoder.reset();
      result = decoder.decode(in, out, true);
    }
    return out.flip().toString();
  }

  static byte[] encode(String path) {
    if (GuestText.isWellFormed(path)) {
      return path.getBytes(UTF_8);
    }
    var bytes = new ByteArrayOutputStream(path.length());
    path.codePoints()
        .forEach(c -> {
          if (c >= 0xDC80 && c <= 0xDCFF) {
            bytes.write(c - ESCAPE);
          } else {
            bytes.writeBytes(Character.toString(c).getBytes(UTF_8));
          }
        });
    return bytes.toByteArray();
  }

  /** The paths as the guest is asked about them: each ended by a NUL. */
  static byte[] list(Collection<String> paths) {
    var bytes = new ByteArrayOutputStream();
    for (String path : paths) {
      bytes.writeBytes(encode(path));
      bytes.write(0);
    }
    return bytes.toByteArray();
  }

  /** Whether it is absolute and names nothing twice: no empty part, no dot, no two dots. */
  static boolean isPlain(String path) {
    if (path.isEmpty() || path.charAt(0) != '/' || path.length() > Limits.NAME) {
      return false;
    }
    if (path.length() == 1) {
      return true;
    }
    for (String name : path.substring(1).split("/", -1)) {
      if (!isName(name)) {
        return false;
      }
    }
    return true;
  }

  /** Whether it can be an entry of a directory. */
  static boolean isName(String name) {
    return !name.isEmpty()
        && name.length() <= Limits.NAME
        && name.indexOf('/') < 0
        && name.indexOf('\0') < 0
        && !name.equals(".")
        && !name.equals("..");
  }
}
