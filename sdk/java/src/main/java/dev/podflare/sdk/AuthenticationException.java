package dev.podflare.sdk;

/** No key, a wrong key (401), or a key that may not do this (403). */
public final class AuthenticationException extends PodflareException {
  private static final long serialVersionUID = 1L;

  AuthenticationException(Failure failure) {
    super(failure);
  }
}
