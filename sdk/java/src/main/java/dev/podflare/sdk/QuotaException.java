package dev.podflare.sdk;

/** This key has used up its share (429); {@link #retryAfter()} says when to come back. */
public final class QuotaException extends PodflareException {
  private static final long serialVersionUID = 1L;

  QuotaException(Failure failure) {
    super(failure);
  }
}
