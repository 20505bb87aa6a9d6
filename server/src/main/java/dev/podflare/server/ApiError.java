package dev.podflare.server;

import java.util.Optional;

/**
 * A request is refused by the HTTP layer itself.
 *
 * <p>Its message is the sentence that the client reads, so it never quotes more than a field's
 * name.
 */
final class ApiError extends RuntimeException {

  private static final long serialVersionUID = 1L;

  private final ErrorCode code;
  private final String hint;
  private final transient Optional<String> field;

  private ApiError(ErrorCode code, String message, String hint, Optional<String> field) {
    super(message, null, false, false);
    this.code = code;
    this.hint = hint;
    this.field = field;
  }

  static ApiError of(ErrorCode code, String message, String hint) {
    return new ApiError(code, message, hint, Optional.empty());
  }

  /** A field or parameter is why. */
  static ApiError of(ErrorCode code, String field, String message, String hint) {
    return new ApiError(code, message, hint, Optional.of(field));
  }

  /** The request's form is wrong: a field of the wrong type, one that is missing. */
  static ApiError badField(String field, String message, String hint) {
    return of(ErrorCode.BAD_FIELD, field, message, hint);
  }

  /** The form is right, and the value makes no sense. */
  static ApiError badValue(String field, String message, String hint) {
    return of(ErrorCode.BAD_VALUE, field, message, hint);
  }

  /** The one answer for an id that has no form, that never was, or that is another key's. */
  static ApiError noSandbox() {
    return of(
        ErrorCode.SANDBOX_NOT_FOUND,
        "sandbox not found",
        "It may have been closed, or have reached its idle timeout. Create a new one.");
  }

  /** The answer for an id that has not the form of a terminal's. */
  static ApiError noTerminal() {
    return of(
        ErrorCode.TERMINAL_NOT_FOUND,
        "There is no such terminal in this sandbox.",
        "GET /v1/sandboxes/{id}/ptys lists those that are there.");
  }

  /** The same for a Space. */
  static ApiError noSpace() {
    return of(
        ErrorCode.SPACE_NOT_FOUND,
        "space not found",
        "It may have been deleted. GET /v1/spaces lists those that are there.");
  }

  /** The same for an exec. */
  static ApiError noExec() {
    return of(
        ErrorCode.EXEC_NOT_FOUND,
        "exec not found",
        "Of those that have ended only the last ones are kept. GET /v1/sandboxes/{id}/execs lists"
            + " them.");
  }

  /** The same for a template, which is known by its name. */
  static ApiError noTemplate() {
    return of(
        ErrorCode.TEMPLATE_NOT_FOUND,
        "template not found",
        "It may have been deleted. GET /v1/templates lists those that are there.");
  }

  ErrorCode code() {
    return code;
  }

  String hint() {
    return hint;
  }

  Optional<String> field() {
    return field;
  }
}
