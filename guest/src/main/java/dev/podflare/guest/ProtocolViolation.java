package dev.podflare.guest;

/**
 * The guest did what no honest agent does. The message continues the sentence "The guest broke the
 * agent protocol: …".
 */
final class ProtocolViolation extends Exception {

  private static final long serialVersionUID = 1L;

  ProtocolViolation(String what) {
    super(what);
  }

  ProtocolViolation(String what, Throwable cause) {
    super(what, cause);
  }

  /** What the guest did. */
  String what() {
    return String.valueOf(getMessage());
  }
}
