package dev.podflare.guest;

/** Why running code is stopped. */
public enum CancelReason {
  /** Somebody asked for it, as with Ctrl-C. */
  INTERRUPT("interrupt"),
  /** It has run for as long as it may. */
  TIMEOUT("timeout");

  private final String word;

  CancelReason(String word) {
    this.word = word;
  }

  String word() {
    return word;
  }
}
