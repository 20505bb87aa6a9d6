package dev.podflare.guest;

import java.nio.ByteBuffer;
import java.util.Arrays;

/** What one frame carried, or several that mean the same as one. */
final class Piece {

  private final FrameKind kind;
  private byte[] bytes;
  private int length;

  Piece(FrameKind kind, byte[] bytes, int length) {
    this.kind = kind;
    this.bytes = bytes;
    this.length = length;
  }

  FrameKind kind() {
    return kind;
  }

  /** The array whose first {@link #length()} bytes count. */
  byte[] bytes() {
    return bytes;
  }

  int length() {
    return length;
  }

  ByteBuffer asBuffer() {
    return ByteBuffer.wrap(bytes, 0, length);
  }

  /** Takes in what follows, if both are raw bytes of one kind and the whole stays a block. */
  boolean append(FrameKind nextKind, byte[] next, int nextLength) {
    if (nextKind != kind || !kind.isBytes() || length + nextLength > Limits.BLOCK) {
      return false;
    }
    if (bytes.length - length < nextLength) {
      int doubled = Math.max(64, 2 * length);
      bytes = Arrays.copyOf(bytes, Math.clamp(doubled, length + nextLength, Limits.BLOCK));
    }
    System.arraycopy(next, 0, bytes, length, nextLength);
    length += nextLength;
    return true;
  }
}
