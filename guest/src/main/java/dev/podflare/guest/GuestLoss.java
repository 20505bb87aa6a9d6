package dev.podflare.guest;

import java.util.Optional;

/**
 * Why a guest can't be spoken to any more.
 *
 * @param sentence what happened, for a person; bounded, and clean of the guest's own characters
 * @param cause for the log
 */
public record GuestLoss(Kind kind, String sentence, Optional<Throwable> cause) {

  /** How a guest gets lost. */
  public enum Kind {
    /** The channel ended or failed: the microVM is gone, or its agent is. */
    ENDED,
    /** The guest did what no honest agent does. Nothing that it holds can be relied on. */
    VIOLATION,
    /** The host closed the connection. */
    CLOSED_BY_HOST
  }
}
