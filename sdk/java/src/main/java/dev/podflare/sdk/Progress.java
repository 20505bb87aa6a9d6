package dev.podflare.sdk;

import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/** A body on its way to the server: when it last moved, and whether its source failed. */
final class Progress extends FilterInputStream {
  private final AtomicLong lastMoved = new AtomicLong(System.nanoTime());
  private final AtomicReference<@Nullable IOException> failure = new AtomicReference<>();

  Progress(InputStream source) {
    super(source);
  }

  long nanosSinceItMoved() {
    return System.nanoTime() - lastMoved.get();
  }

  /** What reading the source ended with, if that is what broke the upload. */
  @Nullable IOException failure() {
    return failure.get();
  }

  @Override
  public int read() throws IOException {
    byte[] one = new byte[1];
    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xFF;
  }

  @Override
  public int read(byte[] target, int offset, int length) throws IOException {
    try {
      int count = super.read(target, offset, length);
      lastMoved.set(System.nanoTime());
      return count;
    } catch (IOException broken) {
      failure.set(broken);
      throw broken;
    }
  }

  @Override
  public void close() {
    // The source is the business of whoever opened it.
  }
}
