package dev.podflare.guest;

import java.io.InputStream;

/** A file that has no end. */
final class EndlessStream extends InputStream {

  static final InputStream INSTANCE = new EndlessStream();

  @Override
  public int read() {
    return 'x';
  }

  @Override
  public int read(byte[] into, int offset, int length) {
    return length;
  }
}
