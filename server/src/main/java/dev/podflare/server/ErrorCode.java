package dev.podflare.server;

import java.util.Locale;

/** What the HTTP layer itself refuses or fails by. docs/errors.md says what to do about each. */
enum ErrorCode {
  BAD_REQUEST(400),
  BAD_JSON(400),
  BAD_FIELD(400),
  BAD_QUERY(400),
  BODY_TRUNCATED(400),
  BAD_IDEMPOTENCY_KEY(400),
  MERGE_INTO_ITSELF(400),
  MISSING_API_KEY(401),
  INVALID_API_KEY(401),
  FOREIGN_SITE(403),
  SANDBOX_NOT_FOUND(404),
  SPACE_NOT_FOUND(404),
  TERMINAL_NOT_FOUND(404),
  EXEC_NOT_FOUND(404),
  TEMPLATE_NOT_FOUND(404),
  NOT_FOUND(404),
  METHOD_NOT_ALLOWED(405),
  MERGE_CONFLICT(409),
  BODY_TOO_LARGE(413),
  CHUNK_TOO_LARGE(413),
  URI_TOO_LONG(414),
  UNSUPPORTED_MEDIA_TYPE(415),
  BAD_VALUE(422),
  EGRESS_ALLOW_LIST_UNSUPPORTED(422),
  UPGRADE_REQUIRED(426),
  INTERNAL(500),
  SHUTTING_DOWN(503),
  HTTP_VERSION(505);

  private final int status;

  ErrorCode(int status) {
    this.status = status;
  }

  int status() {
    return status;
  }

  /** The word that clients read. */
  String word() {
    return name().toLowerCase(Locale.ROOT);
  }
}
