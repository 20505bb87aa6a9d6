package dev.podflare.mcp;

import dev.podflare.server.MountedCall;
import io.modelcontextprotocol.spec.McpSchema;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;

/** What the HTTP layer of the protocol refuses, as a JSON-RPC error that belongs to no request. */
final class RefusedException extends Exception {

  private static final long serialVersionUID = 1L;

  private final int status;
  private final int code;

  RefusedException(int status, int code, String message) {
    super(message, null, false, false);
    this.status = status;
    this.code = code;
  }

  static RefusedException invalid(String message) {
    return new RefusedException(400, McpSchema.ErrorCodes.INVALID_REQUEST, message);
  }

  void answer(MountedCall call) throws IOException {
    Map<String, Object> error = new LinkedHashMap<>();
    error.put("code", code);
    error.put("message", String.valueOf(getMessage()));
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("jsonrpc", "2.0");
    body.put("id", null);
    body.put("error", error);
    call.answer(
        status, Map.of("Content-Type", AnswerChannel.JSON), Json.MAPPER.writeValueAsBytes(body));
  }
}
