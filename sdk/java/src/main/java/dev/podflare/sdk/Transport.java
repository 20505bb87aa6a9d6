package dev.podflare.sdk;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.net.http.WebSocket;
import java.net.http.WebSocketHandshakeException;
import java.nio.channels.UnresolvedAddressException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Requests to one server, over the JDK's HTTP client and its kept-alive connections: one connection
 * a running call, so nobody waits for another's answer.
 *
 * <p>A call whose connection breaks before the answer is sent again only if that can't do its work
 * twice: it is repeatable, or goes under an idempotency key. Running code is neither.
 */
final class Transport {
  /** Under which the server keeps an exec's output. */
  static final String EXEC_ID = "X-Exec-Id";

  static final int LONGEST_JSON = 64 * 1024 * 1024;
  private static final int LONGEST_ERROR = 64 * 1024;
  private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(10);
  private static final long FIRST_PAUSE_MILLIS = 50;
  private static final long LONGEST_PAUSE_MILLIS = 2000;
  private static final String VERSION = version();
  private static final String USER_AGENT =
      "podflare-java/" + VERSION + " java/" + Runtime.version().feature();

  private final HttpClient http;
  private final Settings settings;
  private final @Nullable Duration silence;
  private final int retries;
  private final Supplier<? extends @Nullable String> traceparent;
  private volatile boolean isClosed;
  private volatile Duration longestSilence = EventReader.LONGEST_SILENCE;

  Transport(
      Settings settings,
      @Nullable Duration silence,
      int retries,
      Supplier<? extends @Nullable String> traceparent) {
    this.settings = settings;
    this.silence = silence;
    this.retries = retries;
    this.traceparent = traceparent;
    this.http =
        HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .followRedirects(HttpClient.Redirect.NEVER)
            .connectTimeout(CONNECT_TIMEOUT)
            .build();
  }

  String host() {
    return settings.host();
  }

  int retries() {
    return retries;
  }

  /** How long a stream of events may be silent. */
  Duration longestSilence() {
    return longestSilence;
  }

  /** For tests, which have not so much time. */
  void longestSilence(Duration longest) {
    longestSilence = longest;
  }

  /** Sends a call and answers its JSON object; empty for an answer without a body. */
  Fields json(Call call) {
    try (Answer answer = open(call)) {
      byte[] bytes = answer.readAll(LONGEST_JSON);
      return new Fields(Json.read(bytes));
    }
  }

  /**
   * Sends a call whose answer's body the caller reads.
   *
   * @throws PodflareException what the server refuses, and what the network does
   */
  Answer open(Call call) {
    for (int attempt = 0; ; attempt++) {
      boolean isLast = attempt >= retries || !call.maySendAgain();
      try {
        Answer answer = send(call);
        if (answer.status() >= 200 && answer.status() < 300) {
          return answer;
        }
        PodflareException refusal = refusal(answer);
        if (isLast || !refusal.hasCode("shutting_down")) {
          throw refusal;
        }
      } catch (ConnectionException broken) {
        // A server that was never there is told of at once; one that was there may come back.
        boolean wasThere = attempt > 0 || !broken.hasCode("unreachable");
        if (isLast || !wasThere || broken.hasCode("interrupted")) {
          throw broken;
        }
      }
      pause(attempt);
    }
  }

  /** Opens a WebSocket, which the listener is given. */
  void webSocket(String target, @Nullable String ownTrace, WebSocket.Listener listener) {
    if (isClosed) {
      throw new IllegalStateException("the client is closed");
    }
    WebSocket.Builder builder = http.newWebSocketBuilder().connectTimeout(CONNECT_TIMEOUT);
    if (settings.apiKey() != null) {
      builder.header("Authorization", "Bearer " + settings.apiKey());
    }
    builder.header("User-Agent", USER_AGENT);
    String trace = ownTrace == null ? traceparent.get() : ownTrace;
    if (trace != null) {
      builder.header("traceparent", Settings.validTraceparent(trace));
    }
    URI address = URI.create("ws" + settings.host().substring("http".length()) + target);
    CompletableFuture<WebSocket> opening = builder.buildAsync(address, listener);
    try {
      opening.get();
    } catch (InterruptedException interrupted) {
      opening.cancel(true);
      throw Failures.interrupted("opened a terminal", interrupted);
    } catch (ExecutionException failed) {
      throw handshakeFailure(failed.getCause() == null ? failed : failed.getCause());
    }
  }

  /** Ends idle connections as soon as the calls that run have ended. */
  void close() {
    isClosed = true;
    Threads.shutDown(http);
  }

  void pause(int attempt) {
    long longest = Math.min(FIRST_PAUSE_MILLIS << Math.min(2 * attempt, 16), LONGEST_PAUSE_MILLIS);
    try {
      Thread.sleep(ThreadLocalRandom.current().nextLong(longest / 2, longest + 1));
    } catch (InterruptedException interrupted) {
      throw Failures.interrupted("waited to send a request again", interrupted);
    }
  }

  /** The cause of a failure in a few words. */
  static String why(Throwable failure) {
    String said = failure.getMessage();
    if (said != null) {
      return said;
    }
    return failure.getCause() == null
        ? failure.getClass().getSimpleName()
        : why(failure.getCause());
  }

  private Answer send(Call call) {
    if (isClosed) {
      throw new IllegalStateException("the client is closed");
    }
    Duration patience = call.patient() ? null : silence;
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create(settings.host() + call.target()))
            .header("User-Agent", USER_AGENT);
    if (settings.apiKey() != null) {
      request.header("Authorization", "Bearer " + settings.apiKey());
    }
    String trace = call.traceparent() == null ? traceparent.get() : call.traceparent();
    if (trace != null) {
      request.header("traceparent", Settings.validTraceparent(trace));
    }
    if (call.idempotencyKey() != null) {
      request.header("Idempotency-Key", call.idempotencyKey());
    }
    Body body = call.body();
    if (body == null) {
      request.method(call.method(), BodyPublishers.noBody());
    } else {
      request.header("Content-Type", body.contentType());
      if (!(body instanceof Body.Bytes small) || small.bytes().length > Body.SMALL) {
        return upload(request, call.method(), body, patience);
      }
      request.method(call.method(), BodyPublishers.ofByteArray(small.bytes()));
    }
    if (patience != null) {
      request.timeout(patience);
    }
    Head head = new Head(patience);
    try {
      return answer(http.send(request.build(), head), patience);
    } catch (InterruptedException interrupted) {
      throw Failures.interrupted("waited for the server", interrupted);
    } catch (IOException failure) {
      Answer begun = begun(head.info, failure, patience);
      if (begun != null) {
        return begun;
      }
      throw translated(failure, patience);
    }
  }

  /** Keeps an answer's head, since the client loses it when the body breaks at its beginning. */
  private static final class Head implements HttpResponse.BodyHandler<BodyStream> {
    private final @Nullable Duration patience;
    private volatile HttpResponse.@Nullable ResponseInfo info;

    Head(@Nullable Duration patience) {
      this.patience = patience;
    }

    @Override
    public HttpResponse.BodySubscriber<BodyStream> apply(HttpResponse.ResponseInfo info) {
      this.info = info;
      return new BodyStream(patience);
    }
  }

  /**
   * The answer that broke right behind its head, if that says under which id the exec goes on; its
   * body breaks at the first read, and then the reader attaches again.
   */
  private @Nullable Answer begun(
      HttpResponse.@Nullable ResponseInfo head, IOException failure, @Nullable Duration patience) {
    if (head == null || head.headers().firstValue(EXEC_ID).isEmpty()) {
      return null;
    }
    BodyStream broken = new BodyStream(patience);
    broken.onError(failure);
    return new Answer(settings.host(), head.statusCode(), head.headers(), broken, patience);
  }

  /** Sends a long body, for which the server is silent only while nothing of it moves either. */
  private Answer upload(
      HttpRequest.Builder request, String method, Body body, @Nullable Duration patience) {
    try (InputStream source = opened(body)) {
      Progress progress = new Progress(source);
      HttpRequest.BodyPublisher bytes = BodyPublishers.ofInputStream(() -> progress);
      request.method(
          method, body.length() < 0 ? bytes : BodyPublishers.fromPublisher(bytes, body.length()));
      CompletableFuture<HttpResponse<BodyStream>> answer =
          http.sendAsync(request.build(), head -> new BodyStream(patience));
      try {
        return answer(await(answer, progress, patience), patience);
      } catch (InterruptedException interrupted) {
        answer.cancel(true);
        throw Failures.interrupted("sent a file", interrupted);
      } catch (ExecutionException failed) {
        IOException unread = progress.failure();
        if (unread != null) {
          throw new UncheckedIOException("what was to be uploaded can't be read", unread);
        }
        Throwable cause = failed.getCause() == null ? failed : failed.getCause();
        throw translated(cause, patience);
      }
    } catch (IOException unreadable) {
      throw new UncheckedIOException("what was to be uploaded can't be read", unreadable);
    }
  }

  private InputStream opened(Body body) throws IOException {
    InputStream source = body.open();
    // The caller's own stream is the caller's to close.
    return body instanceof Body.Streamed ? new Progress(source) : source;
  }

  private HttpResponse<BodyStream> await(
      CompletableFuture<HttpResponse<BodyStream>> answer,
      Progress progress,
      @Nullable Duration patience)
      throws InterruptedException, ExecutionException {
    if (patience == null) {
      return answer.get();
    }
    while (true) {
      long left = patience.toNanos() - progress.nanosSinceItMoved();
      try {
        return answer.get(Math.max(left, 0), TimeUnit.NANOSECONDS);
      } catch (TimeoutException silent) {
        if (progress.nanosSinceItMoved() >= patience.toNanos()) {
          answer.cancel(true);
          throw Failures.silent(settings.host(), patience, silent);
        }
      }
    }
  }

  private Answer answer(HttpResponse<BodyStream> response, @Nullable Duration patience) {
    return new Answer(
        settings.host(), response.statusCode(), response.headers(), response.body(), patience);
  }

  private PodflareException translated(Throwable failure, @Nullable Duration patience) {
    if (failure instanceof HttpConnectTimeoutException) {
      return Failures.unreachable(settings.host(), "no connection within 10 s", failure);
    }
    if (failure instanceof HttpTimeoutException) {
      return Failures.silent(settings.host(), patience == null ? Duration.ZERO : patience, failure);
    }
    if (failure instanceof ConnectException) {
      boolean nameless = failure.getCause() instanceof UnresolvedAddressException;
      String why = nameless ? "its name has no address" : whyNoConnection(failure);
      return Failures.unreachable(settings.host(), why, failure);
    }
    return Failures.unanswered(settings.host(), why(failure), failure);
  }

  private static String whyNoConnection(Throwable failure) {
    for (Throwable each = failure; each != null; each = each.getCause()) {
      if (each.getMessage() != null) {
        return each.getMessage();
      }
    }
    return "Connection refused"; // What a ConnectException without a word of its own means.
  }

  private PodflareException refusal(Answer answer) {
    byte[] body;
    try (answer) {
      body = answer.readAtMost(LONGEST_ERROR);
    }
    return refusal(
        answer.status(),
        answer.header("X-Request-Id").orElse(null),
        answer.header("Retry-After").orElse(null),
        body);
  }

  private PodflareException refusal(
      int status, @Nullable String requestId, @Nullable String retryAfter, byte[] body) {
    PodflareException refusal = Failures.refusal(status, requestId, retryAfter, body);
    if (status != 401) {
      return refusal;
    }
    String whence =
        settings.apiKey() == null
            ? Settings.howToGetAKey(System.getenv())
            : refusal.hint().map(hint -> hint + "; ").orElse("")
                + "the key that was sent comes from "
                + settings.keySource();
    return new AuthenticationException(
        Failure.of(refusal.sentence())
            .code(refusal.code().orElse(null))
            .hint(whence)
            .answered(status, requestId, null));
  }

  private PodflareException handshakeFailure(Throwable failure) {
    if (failure instanceof WebSocketHandshakeException refused) {
      HttpResponse<?> response = refused.getResponse();
      byte[] body =
          response.body() instanceof String text
              ? text.getBytes(StandardCharsets.UTF_8)
              : new byte[0];
      return refusal(
          response.statusCode(),
          response.headers().firstValue("X-Request-Id").orElse(null),
          response.headers().firstValue("Retry-After").orElse(null),
          body);
    }
    return translated(failure, CONNECT_TIMEOUT);
  }

  private static String version() {
    String version = Transport.class.getPackage().getImplementationVersion();
    return version == null ? "0" : version;
  }
}
