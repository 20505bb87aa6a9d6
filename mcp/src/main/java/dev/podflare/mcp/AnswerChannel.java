package dev.podflare.mcp;

import dev.podflare.server.MountedCall;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The answer to one request over HTTP. If its first message is the response, it is plain JSON,
 * which is the fastest; if anything comes before, or it takes long, it is a stream of events.
 */
final class AnswerChannel {

  static final String JSON = "application/json";
  static final String EVENTS = "text/event-stream";

  /** What it means that a client goes away before it is answered. */
  enum Departure {
    /** Nothing: what it asked for runs on, and is told when it is done. */
    RUNS_ON(Duration.ofSeconds(10)),
    /** It cancels its request. */
    CANCELS(Duration.ofSeconds(2));

    /**
     * After so long without a word something is written: proxies and clients give up on connections
     * on which nothing moves, and that a client has gone is noticed only by writing.
     */
    private final Duration silence;

    Departure(Duration silence) {
      this.silence = silence;
    }
  }

  private final MountedCall call;
  private final RunningCall running;
  private final Departure departure;
  private @Nullable OutputStream stream;
  private boolean ended;
  private @Nullable RuntimeException failure;

  AnswerChannel(MountedCall call, RunningCall running, Departure departure) {
    this.call = call;
    this.running = running;
    this.departure = departure;
  }

  /** Writes a message that comes before the answer. */
  synchronized void tell(Object message) {
    if (!ended && failure == null && !running.isCancelled()) {
      attempt(() -> writeEvent(Json.MAPPER.writeValueAsBytes(message)));
    }
  }

  /**
   * Writes the answer, unless it was cancelled.
   *
   * @param status that of HTTP, if nothing was written before
   */
  synchronized void answer(int status, Object message) {
    if (ended || failure != null || running.isCancelled()) {
      return;
    }
    attempt(() -> {
      byte[] json = Json.MAPPER.writeValueAsBytes(message);
      if (stream == null) {
        ended = true;
        call.answer(status, Map.of("Content-Type", JSON), json);
      } else {
        writeEvent(json);
      }
    });
  }

  /** Says now and then that something still happens, until the request has ended. */
  void keepAlive() {
    Thread.ofVirtual()
        .name("mcp-keep-alive")
        .start(() -> {
          try {
            while (!running.awaitEnd(departure.silence)) {
              comment();
            }
          } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
          }
        });
  }

  private synchronized void comment() {
    if (!ended && failure == null) {
      attempt(() -> write(": still at work\n\n".getBytes(StandardCharsets.UTF_8)));
    }
  }

  /**
   * Ends the answer. One that was cancelled has no message at all.
   *
   * @throws RuntimeException what a write met when the client had gone
   */
  synchronized void finish() throws IOException {
    if (failure != null) {
      throw failure;
    }
    if (!ended) {
      OutputStream out = opened();
      ended = true;
      out.close();
    }
  }

  private interface Writing {
    void run() throws IOException;
  }

  private void attempt(Writing writing) {
    try {
      writing.run();
      return;
    } catch (IOException e) {
      failure = new UncheckedIOException(e);
    } catch (RuntimeException e) {
      failure = e;
    }
    if (departure == Departure.CANCELS) {
      running.cancel();
    }
  }

  private void writeEvent(byte[] json) throws IOException {
    byte[] begin = "event: message\ndata: ".getBytes(StandardCharsets.UTF_8);
    byte[] event = new byte[begin.length + json.length + 2];
    System.arraycopy(begin, 0, event, 0, begin.length);
    System.arraycopy(json, 0, event, begin.length, json.length);
    event[event.length - 2] = '\n';
    event[event.length - 1] = '\n';
    write(event);
  }

  private void write(byte[] bytes) throws IOException {
    OutputStream out = opened();
    out.write(bytes);
    out.flush();
  }

  private OutputStream opened() {
    OutputStream out = stream;
    if (out == null) {
      out =
          call.stream(
              200,
              Map.of(
                  "Content-Type", EVENTS,
                  "Cache-Control", "no-cache",
                  "X-Accel-Buffering", "no"));
      stream = out;
    }
    return out;
  }
}
