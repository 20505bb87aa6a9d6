package dev.podflare.mcp;

import dev.podflare.server.MountedCall;
import io.modelcontextprotocol.json.TypeRef;
import io.modelcontextprotocol.spec.McpSchema;
import io.modelcontextprotocol.spec.McpStreamableServerTransport;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import reactor.core.publisher.Mono;

/**
 * The answer to one request over HTTP. If its first message is the response, it is plain JSON,
 * which is the fastest; if anything comes before, or it takes long, it is a stream of events.
 */
final class AnswerChannel implements McpStreamableServerTransport {

  static final String JSON = "application/json";
  static final String EVENTS = "text/event-stream";

  /** Proxies and clients give up on connections on which nothing moves. */
  private static final Duration SILENCE = Duration.ofSeconds(10);

  private final MountedCall call;
  private final RunningCall running;
  private @Nullable OutputStream stream;
  private boolean ended;
  private @Nullable RuntimeException failure;

  AnswerChannel(MountedCall call, RunningCall running) {
    this.call = call;
    this.running = running;
  }

  @Override
  public Mono<Void> sendMessage(McpSchema.JSONRPCMessage message) {
    return Mono.fromRunnable(() -> send(message));
  }

  /** An event's id would be for streams that are taken up again, which these are not. */
  @Override
  public Mono<Void> sendMessage(McpSchema.JSONRPCMessage message, @Nullable String id) {
    return sendMessage(message);
  }

  synchronized void send(McpSchema.JSONRPCMessage message) {
    boolean isAnswer = message instanceof McpSchema.JSONRPCResponse;
    if (ended || failure != null || (isAnswer && running.isCancelled())) {
      return;
    }
    attempt(() -> {
      byte[] json = Json.MAPPER.writeValueAsBytes(message);
      if (isAnswer && stream == null) {
        ended = true;
        call.answer(200, Map.of("Content-Type", JSON), json);
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
            while (!running.awaitEnd(SILENCE)) {
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

  /**
   * A client that has gone ends nothing: what it asked for runs on, and is told when it is done.
   */
  private void attempt(Writing writing) {
    try {
      writing.run();
    } catch (IOException e) {
      failure = new UncheckedIOException(e);
    } catch (RuntimeException e) {
      failure = e;
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

  @Override
  public <T> T unmarshalFrom(Object data, TypeRef<T> type) {
    return Json.MAPPER.convertValue(data, type);
  }

  /**
   * The SDK's word for the end of this answer; {@link #finish} ends it, in the request's thread.
   */
  @Override
  public Mono<Void> closeGracefully() {
    return Mono.empty();
  }

  /** Whether the client has gone before it was answered. */
  synchronized Optional<RuntimeException> failure() {
    return Optional.ofNullable(failure);
  }
}
