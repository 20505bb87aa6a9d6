package dev.podflare.cli;

/** A command could not do what it was told. The message says why and what to do next. */
sealed class CommandFailure extends Exception permits Refusal {

  private static final long serialVersionUID = 1L;

  static final int FAILED = 1;
  static final int NO_SERVER = 3;

  private final int exitCode;

  CommandFailure(String message) {
    this(FAILED, message);
  }

  CommandFailure(int exitCode, String message) {
    super(message);
    this.exitCode = exitCode;
  }

  CommandFailure(String message, Throwable cause) {
    super(message, cause);
    this.exitCode = FAILED;
  }

  int exitCode() {
    return exitCode;
  }
}
