package dev.podflare.sdk;

/** The server failed (5xx), or what came back is not an answer of a Podflare server. */
public final class ServerException extends PodflareException {
  private static final long serialVersionUID = 1L;

  ServerException(Failure failure) {
    super(failure);
  }
}
