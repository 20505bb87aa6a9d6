package dev.podflare.server;

import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What stands behind the question mark of a request. Parameters that nobody asks for are ignored.
 *
 * <p>It is decoded here, because the web server's own decoder takes broken escapes for text, and a
 * file would then be stored under a name that nobody meant.
 */
final class Query {

  private final Map<String, List<String>> values;

  private Query(Map<String, List<String>> values) {
    this.values = values;
  }

  /**
   * @param raw as it came, without the question mark
   * @throws ApiError 400 if it is badly encoded
   */
  static Query of(String raw) {
    Map<String, List<String>> values = new HashMap<>();
    for (String pair : raw.split("&", -1)) {
      int equals = pair.indexOf('=');
      String name = decoded(equals < 0 ? pair : pair.substring(0, equals));
      String value = equals < 0 ? "" : decoded(pair.substring(equals + 1));
      values.computeIfAbsent(name, _ -> new ArrayList<>()).add(value);
    }
    return new Query(values);
  }

  /**
   * @throws ApiError 400 if it is there more than once
   */
  Optional<String> text(String name) {
    List<String> given = texts(name);
    if (given.size() > 1) {
      throw ApiError.badField(
          name, "The query parameter " + name + " is there more than once.", "Send it once.");
    }
    return given.stream().findFirst();
  }

  /** A parameter that may be there any number of times, in the order of the request. */
  List<String> texts(String name) {
    return values.getOrDefault(name, List.of());
  }

  /**
   * @throws ApiError 400 if it is absent
   */
  String requiredText(String name) {
    return text(name)
        .orElseThrow(() ->
            ApiError.badField(
                name,
                "The query parameter " + name + " is missing.",
                "Send it as ?" + name + "=…, percent-encoded."));
  }

  /**
   * {@code true} or {@code false}; empty if it is absent.
   *
   * @throws ApiError 400 for anything else
   */
  Optional<Boolean> flag(String name) {
    return text(name)
        .map(word ->
            switch (word) {
              case "true" -> true;
              case "false" -> false;
              default ->
                  throw ApiError.badField(
                      name,
                      "The query parameter " + name + " must be true or false.",
                      "Send ?" + name + "=true, or leave it out.");
            });
  }

  /** All parameters whose names begin so, without that beginning. */
  Map<String, String> withPrefix(String prefix) {
    Map<String, String> found = new HashMap<>();
    for (String name : values.keySet()) {
      if (name.startsWith(prefix)) {
        text(name).ifPresent(value -> found.put(name.substring(prefix.length()), value));
      }
    }
    return found;
  }

  private static String decoded(String text) {
    try {
      return URLDecoder.decode(text, StandardCharsets.UTF_8);
    } catch (IllegalArgumentException e) {
      throw ApiError.of(
          ErrorCode.BAD_QUERY,
          "The query string is badly encoded.",
          "Percent-encode every parameter in UTF-8.");
    }
  }
}
