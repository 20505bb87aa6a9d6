package dev.podflare.sandbox;

/**
 * What a call has made.
 *
 * @param before whether an earlier call with the same {@link OnceKey} has made it, and this one
 *     nothing
 */
public record Answered<T>(T what, boolean before) {

  static <T> Answered<T> now(T what) {
    return new Answered<>(what, false);
  }
}
