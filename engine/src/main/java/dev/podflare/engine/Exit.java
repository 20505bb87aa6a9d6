package dev.podflare.engine;

/**
 * How a microVM ended.
 *
 * @param cause who ended it
 * @param detail one sentence for the log, with what the machine last said where that is known
 */
public record Exit(Cause cause, String detail) {

  /** Who ended a microVM. */
  public enum Cause {
    /** The server asked for it. */
    STOPPED,
    /** The guest powered off, or its kernel panicked. */
    GUEST_ENDED,
    /** The machine monitor was killed or failed. */
    CRASHED
  }
}
