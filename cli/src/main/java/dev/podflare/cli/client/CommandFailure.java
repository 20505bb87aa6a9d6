package dev.podflare.cli.client;

/** A command could not do what it was told. The message says why and what to do next. */
public sealed class CommandFailure extends Exception permits Refusal {

  private static final long serialVersionUID = 1L;

  public static final int FAILED = 1;
  public static final int NO_SERVER = 3;

  private final int exitCode;

  public CommandFailure(String message) {
    this(FAILED, message);
  }

  public CommandFailure(int exitCode, String message) {
    super(message);
    this.exitCode = exitCode;
  }

  public CommandFailure(String message, Throwable cause) {
    super(message, cause);
    this.exitCode = FAILED;
  }

  public int exitCode() {
    return exitCode;
  }
}
