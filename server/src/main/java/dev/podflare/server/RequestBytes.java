package dev.podflare.server;

import io.helidon.http.media.ReadableEntity;
import java.io.IOException;
import java.io.InputStream;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A request's body. Whatever the web server throws when a client breaks off comes out as an {@link
 * IOException}, so that whoever reads it never takes half a body for a whole one.
 */
final class RequestBytes extends InputStream {

  private static final int DROP_BUFFER_BYTES = 16 * 1024;

  private final ReadableEntity entity;
  private @Nullable InputStream opened;
  private Optional<ApiError> refusal = Optional.empty();

  RequestBytes(ReadableEntity entity) {
    this.entity = entity;
  }

  /** What the client is told, if its body broke off, or broke the rules of HTTP, before its end. */
  Optional<ApiError> refusal() {
    return refusal;
  }

  @Override
  public int read() throws IOException {
    byte[] one = new byte[1];
    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
  }

  @Override
  public int read(byte[] buffer, int offset, int length) throws IOException {
    try {
      return body().read(buffer, offset, length);
    } catch (ApiError e) {
      refusal = Optional.of(e);
      throw new IOException(e);
    } catch (IOException | RuntimeException e) {
      refusal = Optional.of(truncated());
      throw new IOException("the request's body broke off, or is not framed as HTTP", e);
    }
  }

  /** Reads and drops what is left, but not more than so many bytes. */
  void drop(long atMost) throws IOException {
    byte[] buffer = new byte[DROP_BUFFER_BYTES];
    long left = atMost;
    int read = 0;
    while (left > 0 && read >= 0) {
      read = read(buffer, 0, buffer.length);
      left -= read;
    }
  }

  /** Opened late, because a client that asked for it is told only then to go on and send. */
  private InputStream body() {
    InputStream body = opened;
    if (body == null) {
      body = entity.inputStream();
      opened = body;
    }
    return body;
  }

  private static ApiError truncated() {
    return ApiError.of(
        ErrorCode.BODY_TRUNCATED,
        "The request's body broke off before its end, so nothing was done.",
        "Send it again.");
  }
}
