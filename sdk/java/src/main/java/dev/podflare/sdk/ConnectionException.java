package dev.podflare.sdk;

/**
 * The server can't be reached, or the connection broke.
 *
 * <p>With the code {@code outcome_unknown} the request had been sent: it may or may not have been
 * carried out.
 */
public final class ConnectionException extends PodflareException {
  private static final long serialVersionUID = 1L;

  ConnectionException(Failure failure) {
    super(failure);
  }
}
