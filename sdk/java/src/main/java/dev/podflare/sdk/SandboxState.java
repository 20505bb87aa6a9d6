package dev.podflare.sdk;

/** What a sandbox is doing. */
public enum SandboxState {
  /** It waits for code. */
  READY,
  /** It runs code. */
  RUNNING,
  /** It is persistent and sleeps on disk; the next call wakes it. */
  FROZEN,
  /** Its machine died; it can only be closed. */
  LOST,
  /** The server says what this version does not know. */
  UNKNOWN
}
