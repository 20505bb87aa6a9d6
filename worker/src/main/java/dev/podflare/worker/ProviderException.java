package dev.podflare.worker;

import java.time.Duration;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** A call of the provider's API did not succeed. The message is for the log: it holds no key. */
final class ProviderException extends Exception {
  private static final long serialVersionUID = 1L;

  static final int NO_STATUS = 0;

  private final int status;
  private final boolean isMalformed;
  private final @Nullable Duration retryAfter;

  private ProviderException(
      int status,
      boolean isMalformed,
      @Nullable Duration retryAfter,
      String message,
      @Nullable Throwable cause) {
    super(message, cause);
    this.status = status;
    this.isMalformed = isMalformed;
    this.retryAfter = retryAfter;
  }

  /** It answered with an error. */
  static ProviderException answered(int status, String message, @Nullable Duration retryAfter) {
    return new ProviderException(status, false, retryAfter, message, null);
  }

  /** There was no answer, or not a whole one. */
  static ProviderException unreachable(String message, @Nullable Throwable cause) {
    return new ProviderException(NO_STATUS, false, null, message, cause);
  }

  /** It sent what this worker can't or may not take; it would do so again. */
  static ProviderException malformed(String message, @Nullable Throwable cause) {
    return new ProviderException(NO_STATUS, true, null, message, cause);
  }

  /** The HTTP status, or {@link #NO_STATUS}. */
  int status() {
    return status;
  }

  /** How long to wait before the next attempt, where the provider says so. */
  Optional<Duration> retryAfter() {
    return Optional.ofNullable(retryAfter);
  }

  /** Whether the same call would fail again. */
  boolean isFinal() {
    return isMalformed || isRefusal();
  }

  /** Whether the provider answered that it will not do this. */
  boolean isRefusal() {
    return status >= 300 && status < 500 && status != 408 && status != 409 && status != 429;
  }

  /** Whether the call may have had its effect all the same. */
  boolean isOutcomeUnknown() {
    return !isMalformed && (status == NO_STATUS || status == 408 || status >= 500);
  }

  /** Whether the credential is not, or no longer, good for this. */
  boolean isUnauthorized() {
    return status == 401 || status == 403;
  }
}
