package dev.podflare.sdk;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A JSON object of the server, read by type. What an older server leaves out is empty, zero or
 * false; what has another type than it must have is an answer of no Podflare server.
 */
final class Fields {
  private final Map<String, @Nullable Object> fields;

  Fields(Map<String, @Nullable Object> fields) {
    this.fields = fields;
  }

  boolean has(String name) {
    return fields.get(name) != null;
  }

  Set<String> names() {
    return fields.keySet();
  }

  @Nullable Object raw(String name) {
    return fields.get(name);
  }

  /** An empty text if it is not there. */
  String text(String name) {
    String text = textOrNull(name);
    return text == null ? "" : text;
  }

  @Nullable String textOrNull(String name) {
    return typed(name, String.class);
  }

  Optional<String> optionalText(String name) {
    return Optional.ofNullable(textOrNull(name));
  }

  /**
   * A text without which the answer makes no sense.
   *
   * @throws ServerException if it is not there
   */
  String id(String name) {
    String text = text(name);
    if (text.isEmpty()) {
      throw Failures.badAnswer("the server's answer has no \"" + name + "\"", null);
    }
    return text;
  }

  long number(String name) {
    Number number = typed(name, Number.class);
    return number == null ? 0 : number.longValue();
  }

  int count(String name) {
    return (int) Math.max(Integer.MIN_VALUE, Math.min(Integer.MAX_VALUE, number(name)));
  }

  OptionalInt optionalCount(String name) {
    return has(name) ? OptionalInt.of(count(name)) : OptionalInt.empty();
  }

  boolean truth(String name, boolean otherwise) {
    Boolean truth = typed(name, Boolean.class);
    return truth == null ? otherwise : truth;
  }

  /** Whether a sandbox reaches anything: a truth value, or an object of what is allowed. */
  boolean egress() {
    return fields.get("egress") instanceof Boolean truth ? truth : has("egress");
  }

  Instant instant(String name) {
    return Instant.ofEpochMilli(number(name));
  }

  Optional<Instant> optionalInstant(String name) {
    return has(name) ? Optional.of(instant(name)) : Optional.empty();
  }

  Duration seconds(String name) {
    Number number = typed(name, Number.class);
    return number == null
        ? Duration.ZERO
        : Duration.ofMillis(Math.round(Math.min(number.doubleValue(), 1e12) * 1000));
  }

  Optional<Duration> optionalSeconds(String name) {
    return has(name) ? Optional.of(seconds(name)) : Optional.empty();
  }

  Optional<Fields> object(String name) {
    Map<?, ?> object = typed(name, Map.class);
    return object == null ? Optional.empty() : Optional.of(new Fields(named(object)));
  }

  /** The objects of a list; what is none is left out. */
  List<Fields> list(String name) {
    List<Fields> objects = new ArrayList<>();
    for (Object item : items(name)) {
      if (item instanceof Map<?, ?> object) {
        objects.add(new Fields(named(object)));
      }
    }
    return objects;
  }

  /** The texts of a list; what is none is left out. */
  List<String> texts(String name) {
    List<String> texts = new ArrayList<>();
    for (Object item : items(name)) {
      if (item instanceof String text) {
        texts.add(text);
      }
    }
    return List.copyOf(texts);
  }

  /** The fields of an object whose values are texts. */
  Map<String, String> textByName(String name) {
    Map<String, String> texts = new LinkedHashMap<>();
    object(name)
        .ifPresent(object ->
            object.fields.forEach((key, value) -> {
              if (value instanceof String text) {
                texts.put(key, text);
              }
            }));
    return Collections.unmodifiableMap(texts);
  }

  /** The fields of an object whose values are objects. */
  Map<String, Fields> objectByName(String name) {
    Map<String, Fields> objects = new LinkedHashMap<>();
    object(name)
        .ifPresent(object ->
            object.fields.forEach((key, value) -> {
              if (value instanceof Map<?, ?> fields) {
                objects.put(key, new Fields(named(fields)));
              }
            }));
    return objects;
  }

  private List<?> items(String name) {
    List<?> list = typed(name, List.class);
    return list == null ? List.of() : list;
  }

  private <T> @Nullable T typed(String name, Class<T> type) {
    Object value = fields.get(name);
    if (value == null) {
      return null;
    }
    if (!type.isInstance(value)) {
      throw Failures.badAnswer(
          "the server's answer has no "
              + type.getSimpleName().toLowerCase(Locale.ROOT)
              + " in \""
              + name
              + "\"",
          null);
    }
    return type.cast(value);
  }

  @SuppressWarnings("unchecked") // Json makes no other maps.
  static Map<String, @Nullable Object> named(Map<?, ?> object) {
    return (Map<String, @Nullable Object>) object;
  }
}
