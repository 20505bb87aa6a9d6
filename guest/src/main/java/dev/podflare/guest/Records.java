package dev.podflare.guest;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;

/**
 * Numbers and names out of the bytes that a guest sends in answer to a question. What ends in the
 * middle of something violates the protocol.
 */
final class Records {

  private final InputStream source;
  private final byte[] block = new byte[Limits.BLOCK];
  private int begin;
  private int end;

  Records(InputStream source) {
    this.source = source;
  }

  /** Whether another record follows. */
  boolean hasNext() throws IOException {
    return begin < end || fill();
  }

  private boolean fill() throws IOException {
    begin = 0;
    end = Math.max(0, source.read(block, 0, block.length));
    return end > 0;
  }

  int u8() throws IOException {
    if (!hasNext()) {
      throw new EOFException();
    }
    return block[begin++] & 0xFF;
  }

  int u16() throws IOException {
    return u8() << 8 | u8();
  }

  int i32() throws IOException {
    return u16() << 16 | u16();
  }

  long i64() throws IOException {
    return (long) i32() << 32 | (i32() & 0xFFFF_FFFFL);
  }

  /** A size or another number that is never negative. */
  long u63(String what) throws IOException, ProtocolViolation {
    long number = i64();
    if (number < 0) {
      throw new ProtocolViolation("it sent " + what + " beyond all measure");
    }
    return number;
  }

  byte[] bytes(int length) throws IOException {
    byte[] bytes = new byte[length];
    int filled = 0;
    while (filled < length) {
      int step = read(bytes, filled, length - filled);
      if (step < 0) {
        throw new EOFException();
      }
      filled += step;
    }
    return bytes;
  }

  /** Takes what is there; -1 at the end. */
  int read(byte[] into, int offset, int length) throws IOException {
    if (!hasNext()) {
      return -1;
    }
    int step = Math.min(length, end - begin);
    System.arraycopy(block, begin, into, offset, step);
    begin += step;
    return step;
  }

  /** A path or name, or the target of a link. */
  String name(int length) throws IOException, ProtocolViolation {
    if (length > Limits.NAME) {
      throw new ProtocolViolation("it named a file with more than 4,096 bytes");
    }
    return GuestPaths.decode(bytes(length));
  }

  String path(int length) throws IOException, ProtocolViolation {
    String path = name(length);
    if (!GuestPaths.isPlain(path)) {
      throw new ProtocolViolation("it sent a path that is not absolute and plain");
    }
    return path;
  }

  /** A line of text, clean of what could disturb whoever shows it. */
  String sentence(int length) throws IOException {
    return GuestText.sentence(new String(bytes(length), java.nio.charset.StandardCharsets.UTF_8));
  }

  static boolean isZero(byte[] bytes) {
    return Arrays.equals(bytes, new byte[bytes.length]);
  }
}
