package dev.podflare.server;

import dev.podflare.sandbox.SandboxException;
import java.util.Optional;
import tools.jackson.core.JsonGenerator;

/**
 * What a client reads when a call fails: the one place where failures become statuses.
 * docs/errors.md lists every code.
 *
 * @param error a sentence for a person
 * @param code the same for a program
 * @param hint what to do next
 * @param field the field or parameter that is wrong, where it is one
 * @param logged whether this is the server's own fault, and its cause belongs in the log
 */
record ErrorResponse(
    int status, String error, String code, String hint, Optional<String> field, boolean logged) {

  static ErrorResponse of(Throwable failure, String requestId) {
    return switch (failure) {
      case ApiError refused -> of(refused);
      case SandboxException refused when refused.reason() == SandboxException.Reason.NO_SPACE ->
          of(ApiError.noSpace());
      case SandboxException refused when refused.reason() == SandboxException.Reason.NO_EXEC ->
          of(ApiError.noExec());
      case SandboxException refused when refused.reason() == SandboxException.Reason.NO_TEMPLATE ->
          of(ApiError.noTemplate());
      case SandboxException broken when broken.reason() == SandboxException.Reason.BROKEN ->
          new ErrorResponse(
              500,
              String.valueOf(broken.getMessage()),
              broken.code(),
              broken.hint() + " The server's log says more under " + requestId + ".",
              Optional.empty(),
              true);
      case SandboxException refused ->
          new ErrorResponse(
              statusOf(refused),
              String.valueOf(refused.getMessage()),
              refused.code(),
              refused.hint(),
              refused.field(),
              false);
      case InterruptedException _ ->
          of(
              ApiError.of(
                  ErrorCode.SHUTTING_DOWN,
                  "The server is shutting down.",
                  "Try again when it is back."));
      default ->
          new ErrorResponse(
              ErrorCode.INTERNAL.status(),
              "Something broke in the server.",
              ErrorCode.INTERNAL.word(),
              "The server's log says more under " + requestId + ".",
              Optional.empty(),
              true);
    };
  }

  static ErrorResponse of(ApiError refused) {
    return new ErrorResponse(
        refused.code().status(),
        String.valueOf(refused.getMessage()),
        refused.code().word(),
        refused.hint(),
        refused.field(),
        false);
  }

  private static int statusOf(SandboxException refused) {
    return switch (refused.reason()) {
      case NO_SANDBOX, NO_SPACE, NO_TERMINAL, NO_EXEC, NO_TEMPLATE, NO_FILE -> 404;
      case INVALID -> refused.code().equals("invalid_path") ? 400 : 422;
      case WRONG_STATE -> 409;
      case TOO_LARGE -> 413;
      case OVER_QUOTA -> 429;
      case NO_ROOM -> 503;
      case BROKEN -> 500;
    };
  }

  void writeTo(JsonGenerator json) {
    json.writeStartObject();
    writeFieldsTo(json);
    json.writeEndObject();
  }

  /** For an answer that says more than every error does. */
  void writeFieldsTo(JsonGenerator json) {
    Json.text(json, "error", error);
    Json.text(json, "code", code);
    Json.text(json, "hint", hint);
    field.ifPresent(name -> Json.text(json, "field", name));
  }
}
