package dev.podflare.sdk;

import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpHeaders;
import java.time.Duration;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** An answer whose body is still to be read. Whoever has it reads it to the end, or closes it. */
final class Answer implements AutoCloseable {
  private final String host;
  private final int status;
  private final HttpHeaders headers;
  private final BodyStream body;
  private @Nullable Duration patience;

  Answer(
      String host, int status, HttpHeaders headers, BodyStream body, @Nullable Duration patience) {
    this.host = host;
    this.status = status;
    this.headers = headers;
    this.body = body;
    this.patience = patience;
  }

  int status() {
    return status;
  }

  Optional<String> header(String name) {
    return headers.firstValue(name);
  }

  /** From now on a longer silence of the server is an exception. */
  void expectWithin(Duration longest) {
    patience = longest;
    body.within(longest);
  }

  /** What has come, at least one byte; -1 at the end. */
  int read(byte[] target, int offset, int length) {
    try {
      return body.read(target, offset, length);
    } catch (IOException broken) {
      throw translated(broken);
    }
  }

  /** The whole body, or an exception if it is longer. */
  byte[] readAll(int limit) {
    byte[] bytes = readAtMost(limit + 1);
    if (bytes.length > limit) {
      close();
      throw Failures.badAnswer("the server's answer is longer than " + limit + " bytes", null);
    }
    return bytes;
  }

  /** The body's first bytes. */
  byte[] readAtMost(int limit) {
    try {
      return body.readNBytes(limit);
    } catch (IOException broken) {
      throw translated(broken);
    }
  }

  /** The body as a stream, whose errors are those of this library. */
  InputStream stream() {
    return new InputStream() {
      @Override
      public int read() {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xFF;
      }

      @Override
      public int read(byte[] target, int offset, int length) {
        return Answer.this.read(target, offset, length);
      }

      @Override
      public void close() {
        Answer.this.close();
      }
    };
  }

  /** Reads no more, and what comes is of no interest. */
  void finish() {
    body.finish();
  }

  @Override
  public void close() {
    body.close();
  }

  private PodflareException translated(IOException broken) {
    if (broken instanceof BodyStream.Silent) {
      return Failures.silent(host, patience == null ? Duration.ZERO : patience, broken);
    }
    return Failures.cutOff(host, Transport.why(broken), broken);
  }
}
