package dev.podflare.worker;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * What a tool call is answered.
 *
 * @param content blocks as the API has them, at least one, no text of them empty
 * @param isError whether it went wrong
 */
record ToolResult(List<Map<String, Object>> content, boolean isError) {
  ToolResult {
    content = List.copyOf(content);
  }

  static ToolResult ok(String text) {
    return new ToolResult(List.of(textBlock(text)), false);
  }

  static ToolResult error(String text) {
    return new ToolResult(List.of(textBlock(text)), true);
  }

  /** The same with a further text at its end. */
  ToolResult and(String text) {
    List<Map<String, Object>> more = new ArrayList<>(content);
    more.add(textBlock(text));
    return new ToolResult(more, isError);
  }

  static Map<String, Object> textBlock(String text) {
    return Map.of("type", "text", "text", text.isEmpty() ? "(no output)" : text);
  }

  static Map<String, Object> imageBlock(String mediaType, String base64) {
    return Map.of(
        "type",
        "image",
        "source",
        Map.of("type", "base64", "media_type", mediaType, "data", base64));
  }
}
