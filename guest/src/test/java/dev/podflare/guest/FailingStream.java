package dev.podflare.guest;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.SequenceInputStream;

/** What a client sends that goes away. */
final class FailingStream extends InputStream {

  private final IOException failure;

  private FailingStream(IOException failure) {
    this.failure = failure;
  }

  /** Fails after so many zeros. */
  static InputStream after(int bytes, IOException failure) {
    return new SequenceInputStream(
        new ByteArrayInputStream(new byte[bytes]), new FailingStream(failure));
  }

  @Override
  public int read() throws IOException {
    throw failure;
  }

  @Override
  public int read(byte[] into, int offset, int length) throws IOException {
    throw failure;
  }
}
