package dev.podflare.server;

import java.util.Map;
import java.util.regex.Pattern;

/** The limits of the environment variables that a request brings. */
final class Environment {

  private static final String FIELD = "env";
  private static final int MAX_VARIABLES = 256;
  private static final int MAX_TOTAL_CHARS = 32 * 1024;
  private static final Pattern NAME = Pattern.compile("[A-Za-z_][A-Za-z0-9_]*");

  private Environment() {}

  /**
   * @throws ApiError 422 if there are too many, or one is no variable that Linux can hold
   */
  static Map<String, String> of(RequestBody body) {
    Map<String, String> env = body.texts(FIELD);
    if (env.size() > MAX_VARIABLES) {
      throw ApiError.badValue(
          FIELD,
          "The field env has more than " + MAX_VARIABLES + " variables.",
          "Store the rest as a file and read it from the code.");
    }
    int total = 0;
    for (Map.Entry<String, String> variable : env.entrySet()) {
      if (!NAME.matcher(variable.getKey()).matches()) {
        throw ApiError.badValue(
            FIELD,
            "The field env holds a name that is no name of a variable.",
            "Names are letters, digits and _, and do not begin with a digit.");
      }
      if (variable.getValue().indexOf('\0') >= 0) {
        throw ApiError.badValue(
            FIELD + "." + variable.getKey(),
            "The field env." + variable.getKey() + " holds a NUL character.",
            "Environment variables can't hold one; store the value as a file.");
      }
      total += variable.getKey().length() + variable.getValue().length();
    }
    if (total > MAX_TOTAL_CHARS) {
      throw ApiError.badValue(
          FIELD,
          "The field env holds more than 32 KiB in all.",
          "Store large values as a file and read it from the code.");
    }
    return env;
  }
}
