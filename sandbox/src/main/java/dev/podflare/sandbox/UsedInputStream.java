package dev.podflare.sandbox;

import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;

/** A file that is being read, which keeps its sandbox from being idle until it is closed. */
final class UsedInputStream extends FilterInputStream {

  private final Sandbox.Use use;
  private boolean closed;

  UsedInputStream(InputStream content, Sandbox.Use use) {
    super(content);
    this.use = use;
  }

  @Override
  public int read(byte[] buffer, int offset, int length) throws IOException {
    return in.read(buffer, offset, length);
  }

  @Override
  public void close() throws IOException {
    if (closed) {
      return;
    }
    closed = true;
    try {
      super.close();
    } finally {
      use.close();
    }
  }
}
