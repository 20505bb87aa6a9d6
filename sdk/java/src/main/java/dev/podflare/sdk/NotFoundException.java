package dev.podflare.sdk;

/** No such sandbox, file or exec, or it belongs to another key (404). */
public final class NotFoundException extends PodflareException {
  private static final long serialVersionUID = 1L;

  NotFoundException(Failure failure) {
    super(failure);
  }
}
