package dev.podflare.server;

import java.io.ByteArrayOutputStream;
import java.util.Collection;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;

/** Writes JSON in UTF-8. */
final class Json {

  private static final JsonFactory FACTORY = new JsonFactory();
  private static final int FIRST_BUFFER_BYTES = 512;

  private Json() {}

  /** The bytes of one JSON value. */
  static byte[] bytes(Consumer<JsonGenerator> value) {
    ByteArrayOutputStream out = new ByteArrayOutputStream(FIRST_BUFFER_BYTES);
    write(out, value);
    return out.toByteArray();
  }

  /** Appends one JSON value. */
  static void write(ByteArrayOutputStream out, Consumer<JsonGenerator> value) {
    try (JsonGenerator json = FACTORY.createGenerator(ObjectWriteContext.empty(), out)) {
      value.accept(json);
    }
  }

  static void text(JsonGenerator json, String name, String value) {
    json.writeName(name);
    json.writeString(wellFormed(value));
  }

  static void textOrNull(JsonGenerator json, String name, Optional<String> value) {
    json.writeName(name);
    if (value.isPresent()) {
      json.writeString(wellFormed(value.get()));
    } else {
      json.writeNull();
    }
  }

  static void texts(JsonGenerator json, String name, Map<String, String> values) {
    json.writeObjectPropertyStart(name);
    values.forEach((key, value) -> text(json, wellFormed(key), value));
    json.writeEndObject();
  }

  static void texts(JsonGenerator json, String name, Collection<String> values) {
    json.writeArrayPropertyStart(name);
    values.forEach(value -> json.writeString(wellFormed(value)));
    json.writeEndArray();
  }

  /** Permission bits as they are written everywhere. */
  static String octal(int mode) {
    return String.format("%04o", mode);
  }

  /** How clients read and write a constant: in lower case. */
  static String word(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT);
  }

  /**
   * The text with a replacement character in place of every half of a surrogate pair. A guest can
   * print such halves, UTF-8 has no bytes for them, and Jackson refuses them.
   */
  static String wellFormed(String text) {
    if (isWellFormed(text)) {
      return text;
    }
    StringBuilder mended = new StringBuilder(text.length());
    text.codePoints().forEach(c -> mended.appendCodePoint(isSurrogate(c) ? 0xFFFD : c));
    return mended.toString();
  }

  /** Whether the text holds no half of a surrogate pair. */
  static boolean isWellFormed(String text) {
    for (int i = 0; i < text.length(); i++) {
      if (Character.isSurrogate(text.charAt(i))) {
        return text.codePoints().noneMatch(Json::isSurrogate);
      }
    }
    return true;
  }

  private static boolean isSurrogate(int codePoint) {
    return codePoint >= Character.MIN_SURROGATE && codePoint <= Character.MAX_SURROGATE;
  }
}
