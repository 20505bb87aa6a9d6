package dev.podflare.guest;

import dev.podflare.guest.GuestEvent.Closed;
import dev.podflare.guest.GuestEvent.Output;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Code that runs in a guest, and the events of it as they come.
 *
 * <p>The events are for one reader; the other methods may be called from any thread. A reader that
 * stops taking events stops the code at its next output, once a window of 256 KiB is full.
 */
public final class GuestExec implements AutoCloseable {

  private final AgentConnection connection;
  private final AgentStream stream;
  private final TextDecoder stdout = new TextDecoder();
  private final TextDecoder stderr = new TextDecoder();
  private final ArrayDeque<GuestEvent> ready = new ArrayDeque<>();
  private boolean ended;

  GuestExec(AgentConnection connection, AgentStream stream) {
    this.connection = connection;
    this.stream = stream;
  }

  AgentStream stream() {
    return stream;
  }

  /**
   * Its number in the guest, by which {@link AgentConnection#rejoin(int)} finds it again in this
   * machine.
   */
  public int number() {
    return stream.number();
  }

  /**
   * Waits for the next event, however long the code is silent. Output that has come in several
   * pieces may be handed over as one.
   *
   * @return empty after the {@link Closed}
   * @throws GuestRefusedException if the guest did not run the code
   * @throws GuestLostException if the guest was lost; what came before has been handed over
   */
  public Optional<GuestEvent> next() throws GuestException, InterruptedException {
    return next(Deadline.never());
  }

  /**
   * Waits for the next event for so long; not at all for zero.
   *
   * @return empty if none came in this time, and after the {@link Closed}
   * @throws GuestRefusedException if the guest did not run the code
   * @throws GuestLostException if the guest was lost; what came before has been handed over
   */
  public Optional<GuestEvent> next(Duration longest) throws GuestException, InterruptedException {
    return next(Deadline.in(longest));
  }

  private Optional<GuestEvent> next(Deadline deadline) throws GuestException, InterruptedException {
    while (ready.isEmpty() && !ended) {
      Piece piece = stream.take(deadline);
      if (piece == null) {
        return Optional.empty();
      }
      try {
        read(piece);
      } catch (ProtocolViolation violation) {
        throw connection.violated(violation);
      }
    }
    return Optional.ofNullable(ready.poll());
  }

  private void read(Piece piece) throws ProtocolViolation, GuestRefusedException {
    switch (piece.kind()) {
      case STDOUT -> output(GuestEvent.Stream.STDOUT, stdout.decode(piece.asBuffer()));
      case STDERR -> output(GuestEvent.Stream.STDERR, stderr.decode(piece.asBuffer()));
      case RESULT -> ready.add(result(piece));
      case ERROR -> ready.add(failure(piece));
      default -> {
        ended = true;
        output(GuestEvent.Stream.STDOUT, stdout.end());
        output(GuestEvent.Stream.STDERR, stderr.end());
        ready.add(closed(piece));
      }
    }
  }

  private void output(GuestEvent.Stream from, String text) {
    if (!text.isEmpty()) {
      ready.add(new Output(from, text));
    }
  }

  private static GuestEvent result(Piece piece) throws ProtocolViolation {
    Map<String, String> representations = new HashMap<>();
    AgentJson.readObject(
        piece.bytes(),
        piece.length(),
        (mimeType, text) -> {
          if (mimeType.length() > Limits.MIME_TYPE
              || representations.size() == Limits.REPRESENTATIONS) {
            throw new ProtocolViolation("it sent a result with too many or too long MIME types");
          }
          representations.put(GuestText.wellFormed(mimeType), AgentJson.text(mimeType, text));
        });
    return new GuestEvent.Result(representations);
  }

  private static GuestEvent failure(Piece piece) throws ProtocolViolation {
    Map<String, String> parts = new HashMap<>();
    AgentJson.readObject(
        piece.bytes(),
        piece.length(),
        (name, text) -> {
          switch (name) {
            case "name", "value", "traceback" -> parts.put(name, AgentJson.text(name, text));
            default -> {}
          }
        });
    return new GuestEvent.Failure(
        parts.getOrDefault("name", ""),
        parts.getOrDefault("value", ""),
        parts.getOrDefault("traceback", ""));
  }

  private Closed closed(Piece piece) throws ProtocolViolation, GuestRefusedException {
    Closed byGuest = Closing.exec(piece);
    return new Closed(
        byGuest.exitCode(),
        byGuest.reason(),
        byGuest.stateKept(),
        byGuest.duration(),
        byGuest.dropped() + stream.dropped());
  }

  /**
   * Waits until the code has ended, whether or not anybody takes its events. While nobody does, and
   * this exec is not {@linkplain #close() closed}, it may wait for that.
   *
   * @return its end
   * @throws GuestRefusedException if the guest did not run the code
   */
  public Closed awaitEnd() throws GuestException, InterruptedException {
    Piece piece = stream.awaitClosed();
    try {
      return closed(piece);
    } catch (ProtocolViolation violation) {
      throw connection.violated(violation);
    }
  }

  /**
   * Asks the guest to stop the code. Returns at once; the exec ends with a {@link Closed} as ever.
   * Does nothing if it has ended.
   */
  public void cancel(CancelReason reason) {
    stream.cancel(reason);
  }

  /**
   * Whether the guest can say nothing, not even that the code has ended, until its reader takes an
   * event. Only when this is false can the guest be blamed for its silence.
   */
  public boolean waitsForReader() {
    return stream.waitsForReader();
  }

  /**
   * Says that nobody takes events any more. The code runs on to its end, which {@link #awaitEnd}
   * still tells; its output is thrown away as it comes.
   */
  @Override
  public void close() {
    stream.leave();
  }
}
