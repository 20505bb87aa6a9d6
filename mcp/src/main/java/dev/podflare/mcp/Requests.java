package dev.podflare.mcp;

import io.modelcontextprotocol.spec.McpSchema;
import io.modelcontextprotocol.spec.McpSchema.JSONRPCResponse;
import java.util.Map;
import java.util.Optional;

/** What both transports do with messages before the protocol's SDK sees them. */
final class Requests {

  private static final String CANCELLED = "notifications/cancelled";

  /** JSON-RPC leaves these numbers to servers. */
  private static final int TOO_MANY = -32000;

  private Requests() {}

  /**
   * Does what a notification says, if it cancels a request: the SDK has no handler for it.
   *
   * @return whether it was one
   */
  static boolean cancels(Connection connection, McpSchema.JSONRPCNotification notification) {
    if (!notification.method().equals(CANCELLED)) {
      return false;
    }
    if (notification.params() instanceof Map<?, ?> params && params.get("requestId") != null) {
      connection.cancel(key(params.get("requestId")));
    }
    return true;
  }

  /** A request's id, in a form in which equal ids are equal objects. */
  static Object key(Object id) {
    return id instanceof Number number ? (Object) number.longValue() : id;
  }

  /** The answer to a request that the SDK would answer the same to everybody. */
  static Optional<JSONRPCResponse> answeredHere(
      Connection connection, McpSchema.JSONRPCRequest request) {
    if (!request.method().equals(McpSchema.METHOD_RESOURCES_LIST)) {
      return Optional.empty();
    }
    try {
      return Optional.of(JSONRPCResponse.result(request.id(), FileResources.list(connection)));
    } catch (Failure e) {
      return Optional.of(error(request.id(), McpSchema.ErrorCodes.INTERNAL_ERROR, e.forModel()));
    }
  }

  static JSONRPCResponse tooMany(Object id, Failure failure) {
    return error(id, TOO_MANY, failure.forModel());
  }

  static JSONRPCResponse error(Object id, int code, String message) {
    return JSONRPCResponse.error(id, new JSONRPCResponse.JSONRPCError(code, message));
  }
}
