package dev.podflare.sdk;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/** Constants as the server writes them, in lower case. */
final class Words {
  private Words() {}

  /** A constant that the server names; {@code otherwise} if this version does not know it. */
  static <E extends Enum<E>> E known(Class<E> type, String word, E otherwise) {
    for (E constant : type.getEnumConstants()) {
      if (of(constant).equals(word)) {
        return constant;
      }
    }
    return otherwise;
  }

  /**
   * A constant that a caller names.
   *
   * @throws InvalidRequestException there is none of this name
   */
  static <E extends Enum<E>> E asked(Class<E> type, String what, String word) {
    for (E constant : type.getEnumConstants()) {
      if (of(constant).equals(word)) {
        return constant;
      }
    }
    throw Failures.invalid(
        "bad_value",
        "unknown " + what + " \"" + word + "\"",
        Arrays.stream(type.getEnumConstants())
            .map(Words::of)
            .collect(Collectors.joining(", ", "one of ", "")));
  }

  static String of(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT);
  }
}
