package dev.podflare.sdk;

import java.time.Duration;
import org.jspecify.annotations.Nullable;

/** What an exception says, before it is one. */
record Failure(
    String message,
    int status,
    @Nullable String code,
    @Nullable String hint,
    @Nullable String requestId,
    @Nullable Duration retryAfter,
    @Nullable Throwable cause) {
  static final int NO_STATUS = 0;

  static Failure of(String message) {
    return new Failure(message, NO_STATUS, null, null, null, null, null);
  }

  Failure code(@Nullable String code) {
    return new Failure(message, status, code, hint, requestId, retryAfter, cause);
  }

  Failure hint(@Nullable String hint) {
    return new Failure(message, status, code, hint, requestId, retryAfter, cause);
  }

  Failure cause(@Nullable Throwable cause) {
    return new Failure(message, status, code, hint, requestId, retryAfter, cause);
  }

  Failure answered(int status, @Nullable String requestId, @Nullable Duration retryAfter) {
    return new Failure(message, status, code, hint, requestId, retryAfter, cause);
  }
}
