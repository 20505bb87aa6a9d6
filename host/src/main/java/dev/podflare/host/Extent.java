package dev.podflare.host;

/**
 * A range of bytes.
 *
 * @param offset of its first byte, 0 or more
 * @param length in bytes, 1 or more
 */
public record Extent(long offset, long length) {

  public Extent {
    if (offset < 0 || length < 1) {
      throw new IllegalArgumentException("no extent: " + length + " bytes at " + offset);
    }
  }

  /** The offset after its last byte. */
  public long end() {
    return offset + length;
  }
}
