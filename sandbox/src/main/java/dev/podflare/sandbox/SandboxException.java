package dev.podflare.sandbox;

import java.util.Optional;

/**
 * A call was refused. Message and hint are sentences for the user; the cause, if any, is for the
 * log only.
 */
public final class SandboxException extends RuntimeException {

  private static final long serialVersionUID = 1L;

  /** Why a call is refused. */
  public enum Reason {
    /** There is no such sandbox. */
    NO_SANDBOX,
    /** There is no such Space. */
    NO_SPACE,
    /** There is no such terminal in the sandbox. */
    NO_TERMINAL,
    /** There is no such exec in the sandbox, or it is not kept any more. */
    NO_EXEC,
    /** There is no such template. */
    NO_TEMPLATE,
    /** There is no such file or directory in the sandbox. */
    NO_FILE,
    /** The request makes no sense; {@link #field()} says where. */
    INVALID,
    /** The sandbox is in a state in which this can't be done. */
    WRONG_STATE,
    /** More than the host takes at once. */
    TOO_LARGE,
    /** More than one sandbox or one user may have at a time. */
    OVER_QUOTA,
    /** The host, or the sandbox's disk, is full. */
    NO_ROOM,
    /** Something broke here or in the guest. */
    BROKEN
  }

  private final Reason reason;
  private final String code;
  private final String hint;
  private final transient Optional<String> field;

  /**
   * @param code the error's name for programs, in snake_case
   * @param hint what to do next
   */
  public SandboxException(Reason reason, String code, String message, String hint) {
    this(reason, code, message, hint, Optional.empty(), null);
  }

  public SandboxException(
      Reason reason,
      String code,
      String message,
      String hint,
      Optional<String> field,
      @org.jspecify.annotations.Nullable Throwable cause) {
    super(message, cause);
    this.reason = reason;
    this.code = code;
    this.hint = hint;
    this.field = field;
  }

  public Reason reason() {
    return reason;
  }

  public String code() {
    return code;
  }

  public String hint() {
    return hint;
  }

  /** The field of the request that is wrong, where it is one. */
  public Optional<String> field() {
    return field;
  }
}
