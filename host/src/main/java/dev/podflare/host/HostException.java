package dev.podflare.host;

/** The host refused something. The message is a sentence for the operator. */
public final class HostException extends Exception {

  private static final long serialVersionUID = 1L;

  public HostException(String message) {
    super(message);
  }

  public HostException(String message, Throwable cause) {
    super(message, cause);
  }
}
