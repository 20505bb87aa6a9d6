package dev.podflare.worker;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.Optional;

/**
 * Server-sent events, one after the other. One thread reads; any other may close it, which ends the
 * reading.
 */
final class EventStream implements AutoCloseable {
  private static final byte[] DATA = {'d', 'a', 't', 'a', ':'};

  private final InputStream in;
  private final int longest;
  private volatile boolean isClosed;

  EventStream(InputStream in) {
    this(in, Json.LONGEST);
  }

  EventStream(InputStream in, int longest) {
    this.in = new BufferedInputStream(in, 16 << 10);
    this.longest = longest;
  }

  /**
   * The next event that a worker must know of; nothing at the end of the stream.
   *
   * @throws ProviderException the connection broke, or what comes is no event
   */
  Optional<SessionEvent> next() throws ProviderException {
    ByteArrayOutputStream data = new ByteArrayOutputStream();
    try {
      for (Optional<byte[]> line = line(); line.isPresent(); line = line()) {
        byte[] bytes = line.get();
        if (bytes.length > 0) {
          take(bytes, data);
        } else if (data.size() > 0) {
          Optional<SessionEvent> event = SessionEvent.of(Json.read(data.toByteArray()));
          data.reset();
          if (event.isPresent()) {
            return event;
          }
        }
      }
      return Optional.empty(); // An event that is cut off at the end is none.
    } catch (IOException broken) {
      if (isClosed) {
        return Optional.empty();
      }
      throw ProviderException.unreachable("the stream of events broke off", broken);
    }
  }

  @Override
  public void close() {
    isClosed = true;
    try {
      in.close();
    } catch (IOException alreadyBroken) {
      return; // It is of no use any more, closed or not.
    }
  }

  private void take(byte[] line, ByteArrayOutputStream data) throws ProviderException {
    for (int i = 0; i < DATA.length; i++) {
      if (line.length <= i || line[i] != DATA[i]) {
        return; // A comment, or a field that a worker has no use for.
      }
    }
    if (data.size() > 0) {
      data.write('\n');
    }
    int from = line.length > DATA.length && line[DATA.length] == ' ' ? 1 : 0;
    data.write(line, DATA.length + from, line.length - DATA.length - from);
    if (data.size() > longest) {
      throw tooLong();
    }
  }

  /** Without its end; nothing at the end of the stream. */
  private Optional<byte[]> line() throws IOException, ProviderException {
    ByteArrayOutputStream line = new ByteArrayOutputStream(256);
    int c;
    while ((c = in.read()) != -1) {
      if (c == '\n') {
        byte[] bytes = line.toByteArray();
        boolean isWithReturn = bytes.length > 0 && bytes[bytes.length - 1] == '\r';
        return Optional.of(isWithReturn ? Arrays.copyOf(bytes, bytes.length - 1) : bytes);
      }
      if (line.size() >= longest) {
        throw tooLong();
      }
      line.write(c);
    }
    return Optional.empty();
  }

  private ProviderException tooLong() {
    return ProviderException.malformed(
        "the provider sent an event of more than " + longest + " bytes", null);
  }
}
