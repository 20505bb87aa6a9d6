package dev.podflare.server;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.TokenStreamLocation;
import tools.jackson.core.exc.StreamConstraintsException;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * The JSON object that a request carries.
 *
 * <p>Strict about what it reads: a field of the wrong type, a duplicate or a value out of range is
 * refused by a sentence that names it. So is a field that the call does not have, once all that it
 * has were {@linkplain #refuseOthers asked for}: a misspelt option must not be silently without
 * effect. A field that is {@code null} is as good as absent. Nothing but an {@link ApiError} comes
 * out of here, whatever the bytes are.
 */
final class RequestBody {

  /** Longest body, in bytes. */
  static final int MAX_BYTES = 1 << 20;

  private static final int MAX_NESTING = 16;
  private static final int MAX_NUMBER_DIGITS = 1000;
  private static final int MAX_NAME_LENGTH = 1024;

  private static final JsonMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder()
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .disable(StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION)
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(MAX_NESTING)
                          .maxNumberLength(MAX_NUMBER_DIGITS)
                          .maxNameLength(MAX_NAME_LENGTH)
                          .maxStringLength(MAX_BYTES)
                          .build())
                  .build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private static final int MOST_QUOTED = 64;

  private final ObjectNode object;

  /** The names of the fields that the call has. */
  private final Set<String> known = new TreeSet<>();

  private RequestBody(ObjectNode object) {
    this.object = object;
  }

  /**
   * Reads a body; one without any bytes is the empty object.
   *
   * @throws ApiError 400 if these bytes are not one JSON object
   */
  static RequestBody read(byte[] json) {
    if (json.length == 0) {
      return new RequestBody(MAPPER.createObjectNode());
    }
    JsonNode node;
    try {
      node = MAPPER.readTree(json);
    } catch (JacksonException e) {
      throw notJson(e);
    }
    if (node instanceof ObjectNode object) {
      return new RequestBody(object);
    }
    throw ApiError.of(
        ErrorCode.BAD_JSON,
        "The body is " + kindOf(node) + ", and must be a JSON object.",
        "Send an object such as {}.");
  }

  /** A digest of all that it says, however it was laid out. */
  String digest() {
    try {
      byte[] bytes = MAPPER.writeValueAsBytes(object);
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java has SHA-256", e);
    }
  }

  /** The raw value, for a field that takes more than one type. */
  Optional<JsonNode> value(String field) {
    known.add(field);
    JsonNode node = object.get(field);
    return node == null || node.isNull() ? Optional.empty() : Optional.of(node);
  }

  Optional<String> text(String field) {
    return value(field).map(node -> textOf(field, node));
  }

  /** Text that must be there. */
  String requiredText(String field) {
    return text(field)
        .orElseThrow(() ->
            ApiError.badField(
                field,
                "The field " + field + " is missing.",
                Nearest.of(field, object.propertyNames())
                    .map(near -> "Did you mean it by " + near + "? Send it as a string.")
                    .orElse("Send it as a string.")));
  }

  Optional<Boolean> flag(String field) {
    return value(field)
        .map(node -> {
          if (!node.isBoolean()) {
            throw wrongType(field, node, "true or false");
          }
          return node.booleanValue();
        });
  }

  /** A whole number from {@code least} up; how much is too much is for the host to say. */
  Optional<Integer> wholeNumber(String field, int least) {
    return wholeNumber(
        field, least, Integer.MAX_VALUE, "Send a whole number from " + least + " up.");
  }

  /** A whole number from {@code least} to {@code most}. */
  Optional<Integer> wholeNumber(String field, int least, int most) {
    return wholeNumber(
        field, least, most, "Send a whole number from " + least + " to " + most + ".");
  }

  private Optional<Integer> wholeNumber(String field, int least, int most, String hint) {
    return value(field)
        .map(node -> {
          if (!node.isIntegralNumber()) {
            throw wrongType(field, node, "a whole number");
          }
          if (!node.canConvertToInt() || node.intValue() < least || node.intValue() > most) {
            throw ApiError.badValue(field, "The field " + field + " is out of range.", hint);
          }
          return node.intValue();
        });
  }

  /** One of the words of an enumeration, in lower case. */
  <E extends Enum<E>> Optional<E> word(String field, Class<E> words) {
    return text(field)
        .map(given ->
            Arrays.stream(words.getEnumConstants())
                .filter(word -> Json.word(word).equals(given))
                .findFirst()
                .orElseThrow(() ->
                    ApiError.badValue(
                        field,
                        "The field " + field + " is no word that is known here.",
                        "Send one of: "
                            + Arrays.stream(words.getEnumConstants())
                                .map(Json::word)
                                .collect(Collectors.joining(", "))
                            + ".")));
  }

  /** An object in this one, to be read in the same way. */
  Optional<RequestBody> object(String field) {
    return value(field)
        .map(node -> {
          if (node instanceof ObjectNode inner) {
            return new RequestBody(inner);
          }
          throw wrongType(field, node, "an object");
        });
  }

  /** An array of strings; empty if it is absent. */
  Optional<List<String>> textList(String field) {
    return value(field)
        .map(node -> {
          if (!node.isArray()) {
            throw wrongType(field, node, "an array of strings");
          }
          List<String> texts = new ArrayList<>();
          for (JsonNode element : node) {
            texts.add(textOf(field + "[" + texts.size() + "]", element));
          }
          return texts;
        });
  }

  /** A length of time in seconds, whole or not. */
  Optional<Duration> seconds(String field, Duration least, Duration most) {
    return value(field)
        .map(node -> {
          if (!node.isNumber()) {
            throw wrongType(field, node, "a number of seconds");
          }
          // A number that no double can hold is out of range too.
          double seconds = node.doubleValue(Double.NaN);
          if (!(seconds >= secondsOf(least) && seconds <= secondsOf(most))) {
            throw ApiError.badValue(
                field,
                "The field " + field + " is out of range.",
                "Send a number of seconds from "
                    + plain(secondsOf(least))
                    + " to "
                    + plain(secondsOf(most))
                    + ".");
          }
          return Duration.ofMillis(Math.round(seconds * 1000));
        });
  }

  /** An object whose values are all text; empty if it is absent. */
  Map<String, String> texts(String field) {
    Optional<JsonNode> value = value(field);
    if (value.isEmpty()) {
      return Map.of();
    }
    if (!(value.get() instanceof ObjectNode map)) {
      throw wrongType(field, value.get(), "an object with strings in it");
    }
    Map<String, String> texts = new HashMap<>();
    for (Map.Entry<String, JsonNode> entry : map.properties()) {
      requireWellFormed(field, entry.getKey());
      texts.put(entry.getKey(), textOf(field + "." + entry.getKey(), entry.getValue()));
    }
    return texts;
  }

  /** Refuses every field that was not asked for until now. */
  void refuseOthers() {
    refuseOthers(Set.of());
  }

  /**
   * The same.
   *
   * @param passedOver fields that may be there, and mean nothing
   * @throws ApiError 400 that names the field, and the one that is likely meant
   */
  void refuseOthers(Set<String> passedOver) {
    for (String field : object.propertyNames()) {
      if (!known.contains(field) && !passedOver.contains(field)) {
        String quoted = field.length() <= MOST_QUOTED ? field : field.substring(0, MOST_QUOTED);
        String all = known.isEmpty() ? "no fields" : "the fields " + String.join(", ", known);
        throw ApiError.badField(
            quoted,
            "The field " + quoted + " is not known here.",
            Nearest.of(field, known).map(near -> "Did you mean " + near + "? ").orElse("")
                + "This call has "
                + all
                + ".");
      }
    }
  }

  static ApiError wrongType(String field, JsonNode node, String wanted) {
    return ApiError.badField(
        field,
        "The field " + field + " must be " + wanted + ", but is " + kindOf(node) + ".",
        "Send " + wanted + ", or leave the field out.");
  }

  private static String textOf(String field, JsonNode node) {
    if (!node.isString()) {
      throw wrongType(field, node, "a string");
    }
    String text = node.stringValue();
    requireWellFormed(field, text);
    return text;
  }

  private static void requireWellFormed(String field, String text) {
    if (!Json.isWellFormed(text)) {
      throw ApiError.badField(
          field,
          "The field " + field + " holds half of a surrogate pair, which is no character.",
          "Send text that is valid Unicode.");
    }
  }

  private static ApiError notJson(JacksonException e) {
    TokenStreamLocation at = e.getLocation();
    String where =
        at == null || at.getLineNr() < 1
            ? ""
            : " at line " + at.getLineNr() + ", column " + at.getColumnNr();
    if (e instanceof StreamConstraintsException) {
      return ApiError.of(
          ErrorCode.BAD_JSON,
          "The body goes beyond a limit of this server" + where + ".",
          "Nest at most "
              + MAX_NESTING
              + " levels deep, and use numbers of at most "
              + MAX_NUMBER_DIGITS
              + " digits.");
    }
    String reason = String.valueOf(e.getOriginalMessage());
    return reason.startsWith("Duplicate")
        ? ApiError.of(
            ErrorCode.BAD_JSON,
            "The body names a field twice" + where + ".",
            "Send every field once.")
        : ApiError.of(
            ErrorCode.BAD_JSON,
            "The body is not valid JSON" + where + ".",
            "Send one JSON object in UTF-8.");
  }

  private static String kindOf(JsonNode node) {
    return switch (node.getNodeType()) {
      case ARRAY -> "an array";
      case OBJECT -> "an object";
      case STRING -> "a string";
      case NUMBER -> "a number";
      case BOOLEAN -> "true or false";
      case NULL -> "null";
      case BINARY, POJO, MISSING -> "nothing";
    };
  }

  private static double secondsOf(Duration duration) {
    return duration.toMillis() / 1000.0;
  }

  private static String plain(double seconds) {
    return seconds == Math.rint(seconds) ? String.valueOf((long) seconds) : String.valueOf(seconds);
  }
}
