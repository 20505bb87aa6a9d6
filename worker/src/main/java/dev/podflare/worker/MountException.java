package dev.podflare.worker;

/** Something of a session could not be put into its sandbox. The message is for log and model. */
final class MountException extends Exception {
  private static final long serialVersionUID = 1L;

  MountException(String message) {
    super(message);
  }

  MountException(String message, Throwable cause) {
    super(message, cause);
  }
}
