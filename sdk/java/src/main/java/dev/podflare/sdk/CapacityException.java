package dev.podflare.sdk;

/** This host has no room for another sandbox now (503). */
public final class CapacityException extends PodflareException {
  private static final long serialVersionUID = 1L;

  CapacityException(Failure failure) {
    super(failure);
  }
}
