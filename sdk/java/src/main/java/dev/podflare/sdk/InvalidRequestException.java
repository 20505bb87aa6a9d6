package dev.podflare.sdk;

/** The request makes no sense: a bad argument, a file too large (400, 413, 422 and the like). */
public final class InvalidRequestException extends PodflareException {
  private static final long serialVersionUID = 1L;

  InvalidRequestException(Failure failure) {
    super(failure);
  }
}
