package dev.podflare.sdk;

/**
 * The server stayed silent for longer than the client waits. Never thrown for code that runs too
 * long: that ends with {@link ExitReason#TIMEOUT}.
 */
public final class RequestTimeoutException extends PodflareException {
  private static final long serialVersionUID = 1L;

  RequestTimeoutException(Failure failure) {
    super(failure);
  }
}
