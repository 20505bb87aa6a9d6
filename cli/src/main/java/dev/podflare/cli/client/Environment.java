package dev.podflare.cli.client;

/** Settings in the environment of the command. */
public final class Environment {

  private Environment() {}

  /** The value of a variable; one that is unset or blank is {@code otherwise}. */
  public static String value(String name, String otherwise) {
    String value = System.getenv(name);
    return value == null || value.isBlank() ? otherwise : value;
  }
}
