package dev.podflare.anthropic;

import dev.podflare.sdk.tools.ToolAnswer;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A tool of your own, beside those of the sandbox. */
@FunctionalInterface
public interface OwnTool {
  /**
   * Does what one call asks for.
   *
   * @param input as the model wrote it; any field may be missing, or of any type
   * @return what the model is told, for example {@code ToolAnswer.of("21 °C")}
   * @throws Exception anything: the model is told its name and message
   */
  ToolAnswer answer(Map<String, @Nullable Object> input) throws Exception;
}
