package dev.podflare.mcp;

import io.modelcontextprotocol.spec.McpSchema;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.json.JsonMapper;

/**
 * How the tools answer.
 *
 * <p>All that a model shall know stands in {@code content}. The protocol's {@code
 * structuredContent} is left out on purpose: clients that find it show it to the model in place of
 * the content, and the pictures are lost. What programs want to know without reading text is in
 * {@code _meta}.
 */
final class Answers {

  /** The name, in the form that the protocol asks of other people's metadata. */
  static final String META = "dev.podflare/facts";

  private static final JsonMapper JSON = JsonMapper.shared();

  private Answers() {}

  static Map<String, Object> meta(Map<String, Object> facts) {
    return Map.of(META, facts);
  }

  static McpSchema.CallToolResult text(String text) {
    return McpSchema.CallToolResult.builder(List.of(textContent(text))).isError(false).build();
  }

  /** Facts as JSON, which both models and programs read. */
  static McpSchema.CallToolResult json(Map<String, Object> facts) {
    return text(JSON.writeValueAsString(facts));
  }

  static McpSchema.CallToolResult failed(Failure failure) {
    return McpSchema.CallToolResult.builder(List.of(textContent(failure.forModel())))
        .isError(true)
        .meta(meta(Map.of("error", failure.code())))
        .build();
  }

  static McpSchema.Content textContent(String text) {
    return McpSchema.TextContent.builder(text).build();
  }
}
