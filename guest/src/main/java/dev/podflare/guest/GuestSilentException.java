package dev.podflare.guest;

/**
 * The guest did not answer in time. It may be slow or stuck; the connection stays as it is, and the
 * answer, should it still come, is thrown away.
 */
public final class GuestSilentException extends GuestException {

  private static final long serialVersionUID = 1L;

  GuestSilentException(String message) {
    super(message, null);
  }
}
