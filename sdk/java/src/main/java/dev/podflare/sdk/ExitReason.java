package dev.podflare.sdk;

/** Why code ended. */
public enum ExitReason {
  /** It ran to its end. */
  OK,
  /** An uncaught exception, or an exit code other than 0. */
  ERROR,
  /** Its time was over. */
  TIMEOUT,
  /** Somebody interrupted it. */
  INTERRUPTED,
  /** Its process was killed, or its machine ended. */
  KILLED,
  /** It had used up the sandbox's memory. */
  OOM,
  /** The server does not say, or says what this version does not know. */
  UNKNOWN;

  static ExitReason of(String word) {
    return Words.known(ExitReason.class, word, UNKNOWN);
  }
}
