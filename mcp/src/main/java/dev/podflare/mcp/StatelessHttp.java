package dev.podflare.mcp;

import dev.podflare.server.MountedCall;
import io.modelcontextprotocol.modern.JsonRpc;
import io.modelcontextprotocol.modern.McpSchema;
import io.modelcontextprotocol.modern.server.transport.McpHeaderDecoder;
import java.io.IOException;
import java.net.http.HttpClient;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * Requests over HTTP that each stand for themselves: headers that repeat what the body says are
 * compared with it, errors have the statuses that the protocol gives them, and a client that goes
 * away cancels its request.
 */
final class StatelessHttp {

  private static final String METHOD = "Mcp-Method";
  private static final String NAME = "Mcp-Name";
  private static final String VERSION = "MCP-Protocol-Version";

  private static final Map<Integer, Integer> STATUSES =
      Map.of(
          McpSchema.ErrorCodes.PARSE_ERROR, 400,
          McpSchema.ErrorCodes.INVALID_REQUEST, 400,
          McpSchema.ErrorCodes.INVALID_PARAMS, 400,
          McpSchema.ErrorCodes.HEADER_MISMATCH, 400,
          McpSchema.ErrorCodes.MISSING_REQUIRED_CLIENT_CAPABILITY, 400,
          McpSchema.ErrorCodes.UNSUPPORTED_PROTOCOL_VERSION, 400,
          McpSchema.ErrorCodes.METHOD_NOT_FOUND, 404,
          Requests.TOO_MANY, 429);

  private final StatelessServer server;
  private final HttpClient http;

  /** What runs for each key, so that one key can't take all there is. */
  private final Map<String, RunningCalls> running = new ConcurrentHashMap<>();

  StatelessHttp(StatelessServer server, HttpClient http) {
    this.server = server;
    this.http = http;
  }

  void answer(MountedCall call, String body) throws IOException {
    JsonRpc.JSONRPCMessage message;
    try {
      message = JsonRpc.deserializeMessage(Json.MAPPER, body);
    } catch (JsonRpc.InvalidMessageException e) {
      fail(call, e.id(), McpSchema.ErrorCodes.INVALID_REQUEST, "This is no JSON-RPC message.");
      return;
    } catch (IOException | RuntimeException e) {
      fail(call, null, McpSchema.ErrorCodes.PARSE_ERROR, "The body is not one JSON-RPC message.");
      return;
    }
    switch (message) {
      case JsonRpc.JSONRPCRequest request -> answer(call, request);
      // Nothing that a client could notify of is of any use here.
      case JsonRpc.JSONRPCNotification _ -> call.answer(202, Map.of(), new byte[0]);
      default ->
          fail(
              call,
              null,
              McpSchema.ErrorCodes.INVALID_REQUEST,
              "A client sends requests and notifications.");
    }
  }

  private void answer(MountedCall call, JsonRpc.JSONRPCRequest request) throws IOException {
    Optional<String> mismatch = mismatch(call, request);
    if (mismatch.isPresent()) {
      fail(call, request.id(), McpSchema.ErrorCodes.HEADER_MISMATCH, mismatch.get());
      return;
    }
    RestCalls calls =
        new RestCalls(http, ServerAccess.to(McpMount.url(call.reachedAt()), call.key()));
    RunningCalls ofKey = running.computeIfAbsent(call.owner(), _ -> new RunningCalls());
    RunningCall began;
    try {
      // Different clients may use the same id.
      began =
          ofKey.begin(
              new Object(), new StatelessCaller(calls, OwnSandbox.ofStatelessCall(Map.of())));
    } catch (Failure e) {
      fail(call, request.id(), Requests.TOO_MANY, e.forModel());
      return;
    }
    AnswerChannel channel = new AnswerChannel(call, began, AnswerChannel.Departure.CANCELS);
    channel.keepAlive();
    try {
      JsonRpc.JSONRPCResponse response = server.answer(request, began, channel::tell);
      channel.answer(statusOf(response), response);
    } finally {
      ofKey.end(began);
    }
    channel.finish();
  }

  private static int statusOf(JsonRpc.JSONRPCResponse response) {
    return response.error() == null ? 200 : STATUSES.getOrDefault(response.error().code(), 200);
  }

  private static void fail(MountedCall call, @Nullable Object id, int code, String message)
      throws IOException {
    JsonRpc.JSONRPCResponse response =
        JsonRpc.JSONRPCResponse.error(id, new JsonRpc.JSONRPCResponse.JSONRPCError(code, message));
    call.answer(
        statusOf(response),
        Map.of("Content-Type", AnswerChannel.JSON),
        Json.MAPPER.writeValueAsBytes(response));
  }

  /** What is wrong with the headers that repeat the body, if anything is. */
  private static Optional<String> mismatch(MountedCall call, JsonRpc.JSONRPCRequest request) {
    return different(METHOD, call.header(METHOD), request.method())
        // A body without a version is refused for that.
        .or(() ->
            Optional.ofNullable(StatelessServer.version(request.params()))
                .flatMap(version -> different(VERSION, call.header(VERSION), version)))
        .or(() ->
            named(request)
                .flatMap(
                    name -> different(NAME, call.header(NAME).map(StatelessHttp::decoded), name)));
  }

  private static Optional<String> named(JsonRpc.JSONRPCRequest request) {
    String key =
        switch (request.method()) {
          case McpSchema.METHOD_TOOLS_CALL, McpSchema.METHOD_PROMPTS_GET -> "name";
          case McpSchema.METHOD_RESOURCES_READ -> "uri";
          default -> "";
        };
    return request.params() instanceof Map<?, ?> params && params.get(key) instanceof String name
        ? Optional.of(name)
        : Optional.empty();
  }

  /** A name that is no plain ASCII comes in base64; one that is badly encoded equals nothing. */
  private static String decoded(String header) {
    String value = McpHeaderDecoder.decodeValue(header);
    return value == null ? "" : value;
  }

  private static Optional<String> different(
      String header, Optional<String> given, String expected) {
    if (given.isEmpty()) {
      return Optional.of("The header " + header + " is missing.");
    }
    return given.get().strip().equals(expected)
        ? Optional.empty()
        : Optional.of("The header " + header + " does not say what the body says.");
  }
}
