package dev.podflare.sdk;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.json.JsonFactory;

/** JSON as maps, lists, strings, numbers, booleans and null. */
final class Json {
  private static final int DEEPEST = 200;
  private static final int SHOWN = 200;
  private static final JsonFactory FACTORY =
      JsonFactory.builder()
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(DEEPEST)
                  .maxStringLength(Transport.LONGEST_JSON)
                  .build())
          .build();

  private Json() {}

  /**
   * The object in these bytes; an empty one if there are none.
   *
   * @throws ServerException when they are no JSON object
   */
  static Map<String, @Nullable Object> read(byte[] bytes, int offset, int length) {
    if (length == 0) {
      return Map.of();
    }
    try (JsonParser json = FACTORY.createParser(ObjectReadContext.empty(), bytes, offset, length)) {
      if (json.nextToken() == JsonToken.START_OBJECT) {
        Map<String, @Nullable Object> object = object(json);
        if (json.nextToken() == null) {
          return object;
        }
      }
    } catch (JacksonException broken) {
      throw Failures.badAnswer(
          "the server sent what is not JSON: " + start(bytes, offset, length), broken);
    }
    throw Failures.badAnswer(
        "the server sent what is no JSON object: " + start(bytes, offset, length), null);
  }

  static Map<String, @Nullable Object> read(byte[] bytes) {
    return read(bytes, 0, bytes.length);
  }

  /** The same for bytes that may come from anybody, such as a proxy's page. */
  static Optional<Map<String, @Nullable Object>> readAnything(byte[] bytes) {
    try {
      return Optional.of(read(bytes));
    } catch (ServerException notOurs) {
      return Optional.empty(); // The caller shows the bytes as they are.
    }
  }

  /** The bytes of an object; fields whose value is null are left out. */
  static byte[] write(Map<String, ? extends @Nullable Object> object) {
    ByteArrayOutputStream out = new ByteArrayOutputStream(512);
    try (JsonGenerator json = FACTORY.createGenerator(ObjectWriteContext.empty(), out)) {
      write(json, object);
    } catch (JacksonException refused) {
      throw new InvalidRequestException(
          Failure.of("an argument can't be sent as JSON: " + refused.getOriginalMessage())
              .code("invalid_argument")
              .hint("half of a surrogate pair is no character, and infinity no number")
              .cause(refused));
    }
    return out.toByteArray();
  }

  private static void write(JsonGenerator json, @Nullable Object value) {
    if (value == null) {
      json.writeNull();
    } else if (value instanceof String text) {
      json.writeString(text);
    } else if (value instanceof Boolean truth) {
      json.writeBoolean(truth);
    } else if (value instanceof Integer || value instanceof Long) {
      json.writeNumber(((Number) value).longValue());
    } else if (value instanceof Double number) {
      json.writeNumber(number);
    } else if (value instanceof Map<?, ?> object) {
      json.writeStartObject();
      object.forEach((name, field) -> {
        if (field != null) {
          json.writeName(String.valueOf(name));
          write(json, field);
        }
      });
      json.writeEndObject();
    } else if (value instanceof Collection<?> list) {
      json.writeStartArray();
      list.forEach(each -> write(json, each));
      json.writeEndArray();
    } else {
      throw new IllegalArgumentException("no JSON for " + value.getClass());
    }
  }

  private static Map<String, @Nullable Object> object(JsonParser json) {
    Map<String, @Nullable Object> fields = new LinkedHashMap<>();
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String name = json.currentName();
      json.nextToken();
      fields.put(name, value(json));
    }
    return fields;
  }

  private static List<@Nullable Object> array(JsonParser json) {
    List<@Nullable Object> items = new ArrayList<>();
    while (json.nextToken() != JsonToken.END_ARRAY) {
      items.add(value(json));
    }
    return items;
  }

  private static @Nullable Object value(JsonParser json) {
    return switch (json.currentToken()) {
      case START_OBJECT -> object(json);
      case START_ARRAY -> array(json);
      case VALUE_STRING -> json.getString();
      case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> json.getNumberValue();
      case VALUE_TRUE -> true;
      case VALUE_FALSE -> false;
      default -> null;
    };
  }

  private static String start(byte[] bytes, int offset, int length) {
    return new String(bytes, offset, Math.min(length, SHOWN), StandardCharsets.UTF_8);
  }
}
