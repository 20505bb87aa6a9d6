package dev.podflare.mcp;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.Optional;

/** Reads lines of bytes that are not longer than a limit. For one thread. */
final class LineReader {

  private static final int BUFFER_BYTES = 64 * 1024;

  private final InputStream in;
  private final int limit;
  private final byte[] buffer = new byte[BUFFER_BYTES];
  private int begin;
  private int end;

  LineReader(InputStream in, int limit) {
    this.in = in;
    this.limit = limit;
  }

  /** A line was longer than the limit. What follows it can be read on. */
  static final class TooLong extends IOException {
    private static final long serialVersionUID = 1L;

    TooLong(int limit) {
      super("a line is longer than " + limit + " bytes");
    }
  }

  /** The next line that is not blank, without its end; empty at the end of the stream. */
  Optional<byte[]> next() throws IOException {
    Optional<byte[]> line = line();
    while (line.isPresent() && isBlank(line.get())) {
      line = line();
    }
    return line;
  }

  private Optional<byte[]> line() throws IOException {
    ByteArrayOutputStream parts = new ByteArrayOutputStream();
    boolean tooLong = false;
    while (true) {
      if (begin == end && !fill()) {
        requireShort(tooLong);
        return parts.size() == 0 ? Optional.empty() : Optional.of(parts.toByteArray());
      }
      int newline = indexOfNewline();
      int stop = newline < 0 ? end : newline;
      tooLong |= parts.size() + (stop - begin) > limit;
      if (newline >= 0 && parts.size() == 0 && !tooLong) {
        byte[] whole = Arrays.copyOfRange(buffer, begin, stop);
        begin = newline + 1;
        return Optional.of(whole);
      }
      if (!tooLong) {
        parts.write(buffer, begin, stop - begin);
      }
      begin = newline < 0 ? end : newline + 1;
      if (newline >= 0) {
        requireShort(tooLong);
        return Optional.of(parts.toByteArray());
      }
    }
  }

  private void requireShort(boolean tooLong) throws TooLong {
    if (tooLong) {
      throw new TooLong(limit);
    }
  }

  private boolean fill() throws IOException {
    begin = 0;
    end = Math.max(0, in.read(buffer));
    return end > 0;
  }

  private int indexOfNewline() {
    for (int i = begin; i < end; i++) {
      if (buffer[i] == '\n') {
        return i;
      }
    }
    return -1;
  }

  private static boolean isBlank(byte[] line) {
    for (byte one : line) {
      if (one != ' ' && one != '\r' && one != '\t') {
        return false;
      }
    }
    return true;
  }
}
