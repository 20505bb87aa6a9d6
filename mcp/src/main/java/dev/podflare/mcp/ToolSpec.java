package dev.podflare.mcp;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * One tool: what a model reads of it, and what it does.
 *
 * @param description what it does, when to use it, what comes back
 */
record ToolSpec(
    String name,
    String title,
    String description,
    Set<Hint> hints,
    List<Parameter> parameters,
    Work work) {

  /** What a client may show its user before it lets a model call the tool. */
  enum Hint {
    READS_ONLY,
    DESTROYS,
    MEETS_THE_WORLD
  }

  /** Does what the tool is for. A {@link Failure} becomes an answer that the model can act on. */
  interface Work {
    ToolAnswer on(ToolCall call);
  }

  /**
   * @param schema JSON Schema, with a description
   */
  record Parameter(String name, boolean required, Map<String, Object> schema) {

    static Parameter text(String name, String description) {
      return of(name, Map.of("type", "string"), description);
    }

    static Parameter sandbox(String description) {
      return of(
          "sandbox_id", Map.of("type", "string", "pattern", "^sbx_[0-9a-f]{32}$"), description);
    }

    static Parameter integer(String name, int least, int most, String description) {
      return of(name, Map.of("type", "integer", "minimum", least, "maximum", most), description);
    }

    static Parameter number(String name, double least, double most, String description) {
      return of(name, Map.of("type", "number", "minimum", least, "maximum", most), description);
    }

    static Parameter flag(String name, String description) {
      return of(name, Map.of("type", "boolean"), description);
    }

    static Parameter oneOf(String name, List<String> words, String description) {
      return of(name, Map.of("type", "string", "enum", words), description);
    }

    static Parameter texts(String name, String description) {
      return of(name, Map.of("type", "array", "items", Map.of("type", "string")), description);
    }

    Parameter needed() {
      return new Parameter(name, true, schema);
    }

    private static Parameter of(String name, Map<String, Object> type, String description) {
      Map<String, Object> schema = new LinkedHashMap<>(type);
      schema.put("description", description);
      return new Parameter(name, false, schema);
    }
  }

  /** JSON Schema of the arguments. */
  Map<String, Object> inputSchema() {
    Map<String, Object> properties = new LinkedHashMap<>();
    List<String> required = new ArrayList<>();
    for (Parameter parameter : parameters) {
      properties.put(parameter.name(), parameter.schema());
      if (parameter.required()) {
        required.add(parameter.name());
      }
    }
    Map<String, Object> schema = new LinkedHashMap<>();
    schema.put("type", "object");
    schema.put("properties", properties);
    schema.put("required", required);
    schema.put("additionalProperties", false);
    return schema;
  }
}
