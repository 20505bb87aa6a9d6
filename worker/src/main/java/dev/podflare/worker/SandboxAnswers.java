package dev.podflare.worker;

import dev.podflare.sdk.PodflareException;
import dev.podflare.sdk.Sandbox;
import dev.podflare.sdk.tools.Content;
import dev.podflare.sdk.tools.SandboxTools;
import dev.podflare.sdk.tools.ToolAnswer;
import dev.podflare.sdk.tools.ToolLimits;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The SDK's tools, answered as this API wants it. */
final class SandboxAnswers {
  private SandboxAnswers() {}

  /** Carries out a tool that the SDK has. */
  static ToolResult of(
      Sandbox sandbox, String name, Map<String, @Nullable Object> input, Duration limit) {
    SandboxTools tools = new SandboxTools(sandbox, ToolLimits.usual().withTimeout(limit));
    return result(tools.answer(name, input));
  }

  /** What a model is told of a failure. */
  static ToolResult of(PodflareException failed) {
    return result(ToolAnswer.of(failed));
  }

  private static ToolResult result(ToolAnswer answer) {
    List<Map<String, Object>> blocks =
        answer.content().stream().map(SandboxAnswers::block).toList();
    return new ToolResult(blocks, answer.isError());
  }

  private static Map<String, Object> block(Content content) {
    return switch (content) {
      case Content.Text text -> ToolResult.textBlock(text.text());
      case Content.Image image -> ToolResult.imageBlock(image.mediaType(), image.base64());
    };
  }
}
