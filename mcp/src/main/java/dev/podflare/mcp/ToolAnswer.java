package dev.podflare.mcp;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;

/**
 * What a tool answers, before a version of the protocol gives it its form.
 *
 * @param parts what a model reads and sees, in this order
 * @param isError whether the call, or the code that it ran, failed
 * @param facts for programs that do not read text; in {@code _meta}
 * @param structured all of the text as JSON, if the answer holds no pictures: clients that find
 *     structured content show it to the model in place of the parts
 */
record ToolAnswer(
    List<Part> parts,
    boolean isError,
    Map<String, Object> facts,
    Optional<Map<String, Object>> structured) {

  /** The name, in the form that the protocol asks of other people's metadata. */
  static final String META = "dev.podflare/facts";

  private static final JsonMapper JSON = JsonMapper.shared();

  /** A piece of an answer. */
  sealed interface Part {}

  /** Something to read. */
  record Text(String text) implements Part {}

  /**
   * Something to see.
   *
   * @param type such as image/png
   */
  record Picture(String type, String base64) implements Part {}

  static ToolAnswer text(String text) {
    return new ToolAnswer(List.of(new Text(text)), false, Map.of(), Optional.empty());
  }

  /** Facts as JSON, which both models and programs read. */
  static ToolAnswer json(Map<String, Object> facts) {
    return new ToolAnswer(
        List.of(new Text(JSON.writeValueAsString(facts))), false, Map.of(), Optional.of(facts));
  }

  static ToolAnswer failed(Failure failure) {
    return new ToolAnswer(
        List.of(new Text(failure.forModel())),
        true,
        Map.of("error", failure.code()),
        Optional.empty());
  }

  /** The same answer, with one more sentence at its end. */
  ToolAnswer with(String sentence) {
    List<Part> more = new ArrayList<>(parts);
    more.add(new Text(sentence));
    return new ToolAnswer(more, isError, facts, structured);
  }

  /** What stands in {@code _meta}; null if there is nothing to say. */
  @Nullable Map<String, Object> meta() {
    return facts.isEmpty() ? null : Map.of(META, facts);
  }
}
