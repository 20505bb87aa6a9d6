package dev.podflare.sdk;

/** The sandbox is in a state that does not allow this (409). */
public sealed class ConflictException extends PodflareException permits MergeConflictException {
  private static final long serialVersionUID = 1L;

  ConflictException(Failure failure) {
    super(failure);
  }
}
