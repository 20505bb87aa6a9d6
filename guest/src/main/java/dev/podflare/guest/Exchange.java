package dev.podflare.guest;

import java.io.ByteArrayInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.time.Duration;
import java.util.Collection;

/**
 * A question to the guest that it answers with records: one stream, from its opening to its end.
 */
final class Exchange implements AutoCloseable {

  private final AgentConnection connection;
  private final AgentStream stream;
  private final Duration patience;
  private final Download answer;

  Exchange(AgentConnection connection, AgentStream stream, Duration patience) {
    this.connection = connection;
    this.stream = stream;
    this.patience = patience;
    this.answer = new Download(connection, stream, patience);
  }

  /** Reads an answer, which is told from no more than its bytes. */
  @FunctionalInterface
  interface Reading<T> {
    T read(Records records) throws IOException, ProtocolViolation;
  }

  /** Says what the question is about. */
  Exchange about(Collection<String> paths) throws GuestException, InterruptedException {
    try {
      send(new ByteArrayInputStream(GuestPaths.list(paths)));
      return this;
    } catch (GuestException failed) {
      throw failed;
    } catch (IOException impossible) {
      throw new IllegalStateException("memory can be read", impossible);
    }
  }

  /**
   * Sends what the question is about.
   *
   * @return how many bytes
   * @throws IOException also if the source fails
   */
  long send(InputStream source) throws IOException, InterruptedException {
    try {
      return new Upload(stream, patience).sendAll(source);
    } catch (ProtocolViolation violation) {
      throw connection.violated(violation);
    }
  }

  /** Everything that the guest answers. */
  <T> T answer(Reading<T> reading) throws GuestException, InterruptedException {
    try {
      var records = new Records(answer);
      T read = reading.read(records);
      if (records.hasNext()) {
        throw new ProtocolViolation("it answered more than it was asked");
      }
      return read;
    } catch (ProtocolViolation violation) {
      throw connection.violated(violation);
    } catch (IOException failed) {
      throw failure(failed);
    }
  }

  /** The bytes of the answer, for whoever takes them one by one. */
  InputStream stream() {
    return answer;
  }

  /** The {@code CLOSED}, once all of the answer has been taken. */
  Piece closed() throws GuestException, InterruptedException {
    Piece closed = stream.take(Deadline.in(patience));
    if (closed == null) {
      throw new GuestSilentException(
          "The sandbox has not ended its answer within " + patience.toSeconds() + " s.");
    }
    return closed;
  }

  /** What went wrong while an answer was read. */
  GuestException failure(IOException failed) throws InterruptedException {
    return switch (failed) {
      case GuestException guest -> guest;
      case EOFException _ ->
          connection.violated(new ProtocolViolation("its answer stops in the middle", failed));
      case InterruptedIOException interrupted -> {
        // The stream set the flag again for callers that know nothing but streams.
        Thread.interrupted();
        var told = new InterruptedException(interrupted.getMessage());
        told.initCause(interrupted);
        throw told;
      }
      default ->
          throw new IllegalStateException("a stream of a guest failed in its own way", failed);
    };
  }

  /** The answer ended before what it had promised. */
  GuestException cutShort() {
    return violated(new ProtocolViolation("its answer stops in the middle"));
  }

  GuestLostException violated(ProtocolViolation violation) {
    return connection.violated(violation);
  }

  @Override
  public void close() {
    answer.close();
  }
}
