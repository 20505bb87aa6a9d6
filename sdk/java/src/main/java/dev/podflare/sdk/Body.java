package dev.podflare.sdk;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** What is sent with a request. */
sealed interface Body {
  /** From how many bytes on they are sent piece by piece. */
  int SMALL = 64 * 1024;

  String contentType();

  /** How many bytes it has, or -1 where nobody knows. */
  long length();

  /** Its bytes, from the first one on. */
  InputStream open() throws IOException;

  /** Bytes in memory, which can be sent again. */
  final class Bytes implements Body {
    private final byte[] bytes;
    private final String contentType;

    Bytes(byte[] bytes, String contentType) {
      this.bytes = bytes;
      this.contentType = contentType;
    }

    byte[] bytes() {
      return bytes;
    }

    @Override
    public String contentType() {
      return contentType;
    }

    @Override
    public long length() {
      return bytes.length;
    }

    @Override
    public InputStream open() {
      return new ByteArrayInputStream(bytes);
    }
  }

  /** A local file. */
  record Local(Path path, String contentType) implements Body {
    @Override
    public long length() {
      return -1; // It may grow while it is sent.
    }

    @Override
    public InputStream open() throws IOException {
      return Files.newInputStream(path);
    }
  }

  /** A stream of the caller, which is read once and not closed. */
  record Streamed(InputStream bytes, String contentType) implements Body {
    @Override
    public long length() {
      return -1;
    }

    @Override
    public InputStream open() {
      return bytes;
    }
  }
}
