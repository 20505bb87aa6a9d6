package dev.podflare.worker;

import java.util.Map;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** JSON of the provider, within limits. */
final class Json {
  /** The largest event, or answer to a single call. */
  static final int LONGEST = 8 << 20;

  private static final int DEEPEST = 128;
  private static final int LONGEST_SAID = 300;

  /** What an id may be: it becomes part of a path, and of the log. */
  private static final Pattern ID = Pattern.compile("[A-Za-z0-9_-]{1,128}");

  private static final TypeReference<Map<String, @Nullable Object>> OBJECT =
      new TypeReference<>() {};

  static final JsonMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(DEEPEST)
                          .maxStringLength(LONGEST)
                          .build())
                  .build())
          .build();

  private Json() {}

  /** What these bytes are; null as JSON if there are none. */
  static JsonNode read(byte[] bytes) throws ProviderException {
    try {
      return bytes.length == 0 ? MAPPER.nullNode() : MAPPER.readTree(bytes);
    } catch (JacksonException broken) {
      throw ProviderException.malformed("the provider sent what is not JSON", broken);
    }
  }

  /** The object of a field; an empty one if it is none. */
  static Map<String, @Nullable Object> object(JsonNode node) {
    return node.isObject() ? MAPPER.convertValue(node, OBJECT) : Map.of();
  }

  /** A field that must be an id. */
  static String id(JsonNode node, String name) throws ProviderException {
    String text = node.path(name).asString("");
    if (!ID.matcher(text).matches()) {
      throw ProviderException.malformed(
          "the provider sent an object whose " + name + " is no id: " + said(text), null);
    }
    return text;
  }

  static boolean isId(String text) {
    return ID.matcher(text).matches();
  }

  /** Text of the provider for a line of the log: short, and without control characters. */
  static String said(String text) {
    String start = text.length() > LONGEST_SAID ? text.substring(0, LONGEST_SAID) + "…" : text;
    return start.replaceAll("[^\\p{Print}…]", "?");
  }
}
