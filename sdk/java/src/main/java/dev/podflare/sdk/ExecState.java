package dev.podflare.sdk;

/** How far an exec has come. */
public enum ExecState {
  /** It waits for its turn. */
  QUEUED,
  /** It runs. */
  RUNNING,
  /** It has ended. */
  ENDED,
  /** The server says what this version does not know. */
  UNKNOWN
}
