package dev.podflare.mcp;

import io.modelcontextprotocol.spec.McpSchema;
import io.modelcontextprotocol.spec.McpSchema.JSONRPCResponse;
import java.util.Map;
import java.util.Optional;

/** What both transports do with messages before the protocol's SDK sees them. */
final class Requests {

  private static final String CANCELLED = "notifications/cancelled";

  /** JSON-RPC leaves these numbers to servers. */
  static final int TOO_MANY = -32000;

  private Requests() {}

  /**
   * Does what a notification says, if it cancels a request: the SDK has no handler for it.
   *
   * @return whether it was one
   */
  static boolean cancels(RunningCalls running, McpSchema.JSONRPCNotification notification) {
    if (!notification.method().equals(CANCELLED)) {
      return false;
    }
    if (notification.params() instanceof Map<?, ?> params && params.get("requestId") != null) {
      running.cancel(key(params.get("requestId")));
    }
    return true;
  }

  /** A request's id, in a form in which equal ids are equal objects. */
  static Object key(Object id) {
    return id instanceof Number number ? (Object) number.longValue() : id;
  }

  /** The answer to a request of a session that the SDK would answer wrongly or to all the same. */
  static Optional<JSONRPCResponse> answeredHere(Caller caller, McpSchema.JSONRPCRequest request) {
    return switch (request.method()) {
      case McpSchema.METHOD_RESOURCES_LIST -> Optional.of(resources(caller, request.id()));
      // The SDK does not say which tool is unknown.
      case McpSchema.METHOD_TOOLS_CALL ->
          request.params() instanceof Map<?, ?> params
                  && params.get("name") instanceof String name
                  && SessionServer.TOOLS.find(name).isEmpty()
              ? Optional.of(
                  error(
                      request.id(),
                      McpSchema.ErrorCodes.INVALID_PARAMS,
                      SessionServer.TOOLS.noSuchTool(name)))
              : Optional.empty();
      default -> Optional.empty();
    };
  }

  private static JSONRPCResponse resources(Caller caller, Object id) {
    try {
      return JSONRPCResponse.result(id, SessionServer.resources(caller));
    } catch (Failure e) {
      return error(id, McpSchema.ErrorCodes.INTERNAL_ERROR, e.forModel());
    }
  }

  static JSONRPCResponse tooMany(Object id, Failure failure) {
    return error(id, TOO_MANY, failure.forModel());
  }

  static JSONRPCResponse error(Object id, int code, String message) {
    return JSONRPCResponse.error(id, new JSONRPCResponse.JSONRPCError(code, message));
  }
}
