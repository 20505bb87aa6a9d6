package dev.podflare.sdk;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The exceptions of this library, in the words that all its SDKs use. */
final class Failures {
  private static final int LONGEST_FOREIGN_TEXT = 500;

  private Failures() {}

  /** The server takes no connection. */
  static ConnectionException unreachable(String host, String why, Throwable cause) {
    return new ConnectionException(
        Failure.of("can't reach the Podflare server at " + host + ": " + why)
            .code("unreachable")
            .hint("start it with `./podflare up` on its machine, or set PODFLARE_HOSTD_URL")
            .cause(cause));
  }

  /** The request may have been out, and no answer came. */
  static ConnectionException unanswered(String host, String why, Throwable cause) {
    return new ConnectionException(
        Failure.of(
                "the connection to "
                    + host
                    + " broke before the answer: "
                    + why
                    + "; whether the request was carried out is unknown")
            .code("outcome_unknown")
            .hint("check the sandbox before sending it again")
            .cause(cause));
  }

  /** The events of an exec end before its exit event. */
  static ConnectionException outcomeUnknown(String why, @Nullable Throwable cause) {
    return new ConnectionException(
        Failure.of(
                "the connection broke while the code ran: "
                    + why
                    + "; the outcome of the exec is unknown")
            .code("outcome_unknown")
            .hint(
                "the code may still be running or have finished; "
                    + "check the sandbox's state before running it again")
            .cause(cause));
  }

  /** Another thread closed what this call stands on. */
  static ConnectionException closedMeanwhile(String what, @Nullable Throwable cause) {
    return new ConnectionException(
        Failure.of(what + " was closed while this call waited for it")
            .code("closed")
            .hint("close it after its calls have ended, or take this as their end")
            .cause(cause));
  }

  /** The answer ends in the middle. */
  static ConnectionException cutOff(String host, String why, Throwable cause) {
    return new ConnectionException(
        Failure.of("the answer of " + host + " is cut off: " + why)
            .code("cut_off")
            .hint("the connection or the server died; try again")
            .cause(cause));
  }

  /** The server did nothing for as long as the client waits. */
  static RequestTimeoutException silent(String host, Duration waited, @Nullable Throwable cause) {
    return new RequestTimeoutException(
        Failure.of(host + " did not answer for " + waited.toMillis() / 1000.0 + " s")
            .code("no_answer")
            .hint(
                "see whether the server is overloaded, or give the client a longer"
                    + " silenceTimeout")
            .cause(cause));
  }

  /** The calling thread was interrupted; its mark is set again. */
  static ConnectionException interrupted(String doing, InterruptedException cause) {
    Thread.currentThread().interrupt();
    return new ConnectionException(
        Failure.of("the thread was interrupted while it " + doing)
            .code("interrupted")
            .hint("the request may have been carried out all the same")
            .cause(cause));
  }

  static InvalidRequestException invalid(String code, String message, @Nullable String hint) {
    return new InvalidRequestException(Failure.of(message).code(code).hint(hint));
  }

  static ServerException badAnswer(String message, @Nullable Throwable cause) {
    return new ServerException(
        Failure.of(message)
            .code("bad_answer")
            .hint("is this the address of a Podflare server?")
            .cause(cause));
  }

  /** The exception for an answer that is no success; its body may be anything, even empty. */
  static PodflareException refusal(
      int status, @Nullable String requestId, @Nullable String retryAfter, byte[] body) {
    Fields fields = Json.readAnything(body).map(Fields::new).orElseGet(() -> new Fields(Map.of()));
    String message = fields.textOrNull("error");
    if (message == null) {
      String foreign = new String(body, StandardCharsets.UTF_8).strip().replaceAll("\\s+", " ");
      message =
          foreign.isEmpty()
              ? "the server answered HTTP " + status + " without saying why"
              : foreign.substring(0, Math.min(foreign.length(), LONGEST_FOREIGN_TEXT));
    }
    Failure failure =
        Failure.of(message)
            .code(fields.textOrNull("code"))
            .hint(fields.textOrNull("hint"))
            .answered(status, requestId, seconds(retryAfter));
    return switch (status) {
      case 401, 403 -> new AuthenticationException(failure);
      case 404 -> new NotFoundException(failure);
      case 409 -> conflict(failure, fields);
      case 429 -> new QuotaException(failure);
      case 503 -> new CapacityException(failure);
      default ->
          status >= 400 && status < 500
              ? new InvalidRequestException(failure)
              : new ServerException(failure);
    };
  }

  private static ConflictException conflict(Failure failure, Fields fields) {
    if (!fields.has("conflicts")) {
      return new ConflictException(failure);
    }
    List<Conflict> conflicts = fields.list("conflicts").stream().map(Conflict::of).toList();
    return new MergeConflictException(failure, conflicts);
  }

  private static @Nullable Duration seconds(@Nullable String value) {
    // Retry-After may also be a date, but no Podflare server sends one.
    return value != null && value.matches("[0-9]{1,9}")
        ? Duration.ofSeconds(Long.parseLong(value))
        : null;
  }
}
