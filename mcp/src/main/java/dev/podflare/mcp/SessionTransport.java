package dev.podflare.mcp;

import io.modelcontextprotocol.json.TypeRef;
import io.modelcontextprotocol.spec.McpSchema;
import io.modelcontextprotocol.spec.McpStreamableServerTransport;
import org.jspecify.annotations.Nullable;
import reactor.core.publisher.Mono;

/** The answer to one request of a session, as the protocol's SDK writes it. */
record SessionTransport(AnswerChannel channel) implements McpStreamableServerTransport {

  @Override
  public Mono<Void> sendMessage(McpSchema.JSONRPCMessage message) {
    return Mono.fromRunnable(() -> {
      if (message instanceof McpSchema.JSONRPCResponse) {
        channel.answer(200, message);
      } else {
        channel.tell(message);
      }
    });
  }

  /** An event's id would be for streams that are taken up again, which these are not. */
  @Override
  public Mono<Void> sendMessage(McpSchema.JSONRPCMessage message, @Nullable String id) {
    return sendMessage(message);
  }

  @Override
  public <T> T unmarshalFrom(Object data, TypeRef<T> type) {
    return Json.MAPPER.convertValue(data, type);
  }

  /** The SDK's word for the end of this answer, which the request's thread ends. */
  @Override
  public Mono<Void> closeGracefully() {
    return Mono.empty();
  }
}
