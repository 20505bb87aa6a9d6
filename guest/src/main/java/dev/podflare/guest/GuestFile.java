package dev.podflare.guest;

import java.io.IOException;
import java.io.InputStream;
import java.util.OptionalLong;

/**
 * A file of a guest that is being read.
 *
 * @param size how many bytes {@code content} will give; empty for a file that does not know its
 *     size, as those of {@code /proc}, and is longer than 256 KiB
 * @param content the bytes, for one reader. A {@link GuestException} in it says why they end too
 *     early, which they also do if somebody shortens the file meanwhile; what is appended meanwhile
 *     is not in it
 */
public record GuestFile(OptionalLong size, InputStream content) implements AutoCloseable {

  /** Stops reading; the guest sends no more of it. */
  @Override
  public void close() throws IOException {
    content.close();
  }
}
