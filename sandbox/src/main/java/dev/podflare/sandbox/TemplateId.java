package dev.podflare.sandbox;

import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Names one build of a user's template. No client sees it: they know a template by its name.
 *
 * @param value {@code tpl_} and 32 lower-case hexadecimal digits. Checked here, because it becomes
 *     a directory's name.
 */
record TemplateId(String value) {

  private static final Pattern FORM = Pattern.compile("tpl_[0-9a-f]{32}");
  private static final SecureRandom RANDOM = new SecureRandom();

  TemplateId {
    if (!FORM.matcher(value).matches()) {
      throw new IllegalArgumentException("not the id of a template's build");
    }
  }

  /** Reads an id; empty if it has not the form of one. */
  static Optional<TemplateId> parse(String text) {
    return FORM.matcher(text).matches() ? Optional.of(new TemplateId(text)) : Optional.empty();
  }

  static TemplateId random() {
    byte[] bytes = new byte[16];
    RANDOM.nextBytes(bytes);
    return new TemplateId("tpl_" + HexFormat.of().formatHex(bytes));
  }

  @Override
  public String toString() {
    return value;
  }
}
