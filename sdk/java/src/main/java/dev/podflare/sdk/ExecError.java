package dev.podflare.sdk;

/**
 * An uncaught exception of the executed code.
 *
 * @param name its class, such as {@code ZeroDivisionError}
 * @param value what it says
 * @param traceback where it came from, as Python prints it
 */
public record ExecError(String name, String value, String traceback) {
  static ExecError of(Fields fields) {
    return new ExecError(fields.text("name"), fields.text("value"), fields.text("traceback"));
  }
}
