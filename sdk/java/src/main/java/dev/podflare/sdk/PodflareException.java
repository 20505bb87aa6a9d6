package dev.podflare.sdk;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/**
 * Everything that this library throws on purpose. Its subclasses say of what kind it is; what the
 * executed code does wrong is none of them, but an {@link ExecResult}.
 *
 * {@snippet :
 * import dev.podflare.sdk.*;
 *
 * try (Sandbox sb = Podflare.create()) {
 *   sb.download("/root/nothing-here");
 * } catch (NotFoundException e) {
 *   System.out.println(e.code().orElse("") + ": " + e.hint().orElse(""));
 * }
 * }
 */
public sealed class PodflareException extends RuntimeException
    permits AuthenticationException,
        NotFoundException,
        InvalidRequestException,
        ConflictException,
        QuotaException,
        CapacityException,
        ServerException,
        ConnectionException,
        RequestTimeoutException {
  private static final long serialVersionUID = 1L;

  private final String sentence;
  private final int status;
  private final @Nullable String code;
  private final @Nullable String hint;
  private final @Nullable String requestId;
  private final @Nullable Duration retryAfter;

  PodflareException(Failure failure) {
    super(text(failure), failure.cause());
    this.sentence = failure.message();
    this.status = failure.status();
    this.code = failure.code();
    this.hint = failure.hint();
    this.requestId = failure.requestId();
    this.retryAfter = failure.retryAfter();
  }

  /** What happened, without the hint and the facts that {@link #getMessage()} adds. */
  public String sentence() {
    return sentence;
  }

  /** The HTTP status; empty when the server did not answer. */
  public OptionalInt status() {
    return status == Failure.NO_STATUS ? OptionalInt.empty() : OptionalInt.of(status);
  }

  /** A stable word for programs, such as {@code sandbox_not_found}. */
  public Optional<String> code() {
    return Optional.ofNullable(code);
  }

  /** What to do next. */
  public Optional<String> hint() {
    return Optional.ofNullable(hint);
  }

  /** The id under which the server's log has this request. */
  public Optional<String> requestId() {
    return Optional.ofNullable(requestId);
  }

  /** How long to wait before trying again, where the server says so. */
  public Optional<Duration> retryAfter() {
    return Optional.ofNullable(retryAfter);
  }

  boolean hasCode(String word) {
    return word.equals(code);
  }

  private static String text(Failure failure) {
    StringBuilder text = new StringBuilder(failure.message());
    if (failure.hint() != null) {
      text.append(" (").append(failure.hint()).append(')');
    }
    List<String> facts = new ArrayList<>();
    if (failure.status() != Failure.NO_STATUS) {
      facts.add("HTTP " + failure.status());
    }
    if (failure.requestId() != null) {
      facts.add("request " + failure.requestId());
    }
    if (!facts.isEmpty()) {
      text.append(" [").append(String.join(", ", facts)).append(']');
    }
    return text.toString();
  }
}
