package dev.podflare.anthropic;

import com.anthropic.core.JsonValue;
import com.fasterxml.jackson.core.type.TypeReference;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The library's JSON as maps, lists, strings, numbers, booleans and null. */
final class Plain {
  private static final TypeReference<Map<String, @Nullable Object>> FIELDS =
      new TypeReference<>() {};

  private Plain() {}

  /** The fields of an object; what is none, as a model may write it, has no fields. */
  static Map<String, @Nullable Object> fields(JsonValue value) {
    Map<String, @Nullable Object> fields =
        value.asObject().isPresent() ? value.convert(FIELDS) : null;
    return fields == null ? Map.of() : fields;
  }
}
