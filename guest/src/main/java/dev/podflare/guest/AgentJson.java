package dev.podflare.guest;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.TokenStreamFactory;
import tools.jackson.core.json.JsonFactory;

/**
 * JSON in frames. It is read token by token and never as a tree: a tree of two hostile megabytes
 * can be a hundred times as large.
 */
final class AgentJson {

  private static final JsonFactory JSON =
      JsonFactory.builder()
          .disable(TokenStreamFactory.Feature.INTERN_PROPERTY_NAMES)
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(8)
                  .maxNumberLength(32)
                  .maxNameLength(Limits.NAME)
                  .maxStringLength(Limits.PAYLOAD)
                  .maxDocumentLength(Limits.PAYLOAD)
                  .build())
          .build();

  private static final double FIRST_MILLISECOND = -62_135_596_800_000.0;
  private static final double LAST_MILLISECOND = 253_402_300_799_000.0;

  private AgentJson() {}

  /** Writes the properties of an object. */
  @FunctionalInterface
  interface Properties {
    void writeTo(JsonGenerator json) throws GuestRefusedException;
  }

  /** Reads the value of one property, or leaves it alone. */
  @FunctionalInterface
  interface PropertyReader {
    void read(String name, JsonParser value) throws ProtocolViolation;
  }

  /**
   * An object's JSON, for a frame.
   *
   * @throws GuestRefusedException if it can't be written in UTF-8, or not in one frame
   */
  static byte[] object(Properties properties) throws GuestRefusedException {
    var bytes = new ByteArrayOutputStream(256);
    try (JsonGenerator json = JSON.createGenerator(ObjectWriteContext.empty(), bytes)) {
      json.writeStartObject();
      properties.writeTo(json);
      json.writeEndObject();
    }
    if (bytes.size() > Limits.PAYLOAD) {
      throw new GuestRefusedException(
          GuestRefusedException.TOO_LARGE,
          "The request takes %,d bytes on its way to the sandbox, and at most %,d can be sent."
              .formatted(bytes.size(), Limits.PAYLOAD));
    }
    return bytes.toByteArray();
  }

  /** Writes a property whose value is text of the user's. */
  static void writeText(JsonGenerator json, String name, String text) throws GuestRefusedException {
    json.writeStringProperty(name, unicode(text));
  }

  /** Writes a property whose value is a list of the user's. */
  static void writeTexts(JsonGenerator json, String name, List<String> texts)
      throws GuestRefusedException {
    json.writeArrayPropertyStart(name);
    for (String text : texts) {
      json.writeString(unicode(text));
    }
    json.writeEndArray();
  }

  /** Writes a property whose value is an object of the user's. */
  static void writeTexts(JsonGenerator json, String name, Map<String, String> texts)
      throws GuestRefusedException {
    json.writeObjectPropertyStart(name);
    for (Map.Entry<String, String> text : texts.entrySet()) {
      json.writeStringProperty(unicode(text.getKey()), unicode(text.getValue()));
    }
    json.writeEndObject();
  }

  private static String unicode(String text) throws GuestRefusedException {
    if (!GuestText.isWellFormed(text)) {
      throw new GuestRefusedException(
          GuestRefusedException.INVALID_TEXT,
          "The text can't be sent to the sandbox, because it is no valid Unicode:"
              + " it has a surrogate without its pair.");
    }
    return text;
  }

  /** The payload of a {@code CANCEL}. */
  static byte[] cancel(String reason) {
    return ("{\"reason\":\"" + reason + "\"}").getBytes(StandardCharsets.US_ASCII);
  }

  /** The payload of a {@code CONTROL} that gives a terminal another size. */
  static byte[] resize(int cols, int rows) {
    return "{\"resize\":{\"cols\":%d,\"rows\":%d}}"
        .formatted(cols, rows)
        .getBytes(StandardCharsets.US_ASCII);
  }

  /** The payload of a {@code CONTROL} that sends a signal. */
  static byte[] signal(String name) {
    return ("{\"signal\":\"" + name + "\"}").getBytes(StandardCharsets.US_ASCII);
  }

  /** Reads one object, property by property; values that the reader leaves alone are skipped. */
  static void readObject(byte[] bytes, int length, PropertyReader properties)
      throws ProtocolViolation {
    try (JsonParser json = JSON.createParser(ObjectReadContext.empty(), bytes, 0, length)) {
      if (json.nextToken() != JsonToken.START_OBJECT) {
        throw new ProtocolViolation("it sent JSON that is no object");
      }
      readProperties(json, properties);
      if (json.nextToken() != null) {
        throw new ProtocolViolation("it sent more than one JSON object in a frame");
      }
    } catch (JacksonException malformed) {
      throw new ProtocolViolation("it sent JSON that can't be read", malformed);
    }
  }

  /** Reads the properties of the object that the parser has entered. */
  static void readProperties(JsonParser json, PropertyReader properties) throws ProtocolViolation {
    for (String name = json.nextName(); name != null; name = json.nextName()) {
      json.nextToken();
      properties.read(name, json);
      json.skipChildren();
    }
  }

  static String text(String name, JsonParser value) throws ProtocolViolation {
    if (value.currentToken() != JsonToken.VALUE_STRING) {
      throw new ProtocolViolation("it sent '" + name + "' that is no text");
    }
    return GuestText.wellFormed(value.getString());
  }

  static boolean flag(String name, JsonParser value) throws ProtocolViolation {
    return switch (value.currentToken()) {
      case VALUE_TRUE -> true;
      case VALUE_FALSE -> false;
      default ->
          throw new ProtocolViolation("it sent '" + name + "' that is neither true nor false");
    };
  }

  /**
   * A time in milliseconds since 1970. Code in the guest can give a file any time it likes, so one
   * outside of the years 1 to 9999 is no violation, but becomes the nearest that is inside.
   */
  static Instant time(String name, JsonParser value) throws ProtocolViolation {
    if (!value.currentToken().isNumeric()) {
      throw new ProtocolViolation("it sent '" + name + "' that is no number");
    }
    return Instant.ofEpochMilli(
        (long) Math.clamp(value.getDoubleValue(), FIRST_MILLISECOND, LAST_MILLISECOND));
  }

  /** A whole number within a range. */
  static long number(String name, JsonParser value, long least, long most)
      throws ProtocolViolation {
    if (value.currentToken() == JsonToken.VALUE_NUMBER_INT
        && value.getNumberType() != JsonParser.NumberType.BIG_INTEGER) {
      long number = value.getLongValue();
      if (number >= least && number <= most) {
        return number;
      }
    }
    throw new ProtocolViolation(
        "it sent '%s' that is no whole number from %d to %d".formatted(name, least, most));
  }
}
