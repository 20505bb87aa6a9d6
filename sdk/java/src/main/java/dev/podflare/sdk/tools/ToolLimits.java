package dev.podflare.sdk.tools;

import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * How long one call of a tool may run, and how much it may tell.
 *
 * @param timeout after it the code is interrupted, which keeps its variables; null for no limit
 * @param characters Unicode characters of one answer, 0 or more; what is above it is left out in
 *     the middle, and that is said
 */
public record ToolLimits(@Nullable Duration timeout, int characters) {
  /** Some 10,000 tokens, of which a model's window holds a few dozen. */
  static final int CHARACTERS = 30_000;

  private static final ToolLimits USUAL = new ToolLimits(Duration.ofMinutes(5), CHARACTERS);

  public ToolLimits {
    if (characters < 0) {
      throw new IllegalArgumentException("an answer can't have " + characters + " characters");
    }
  }

  /** Five minutes, and 30,000 characters. */
  public static ToolLimits usual() {
    return USUAL;
  }

  /** The same with another time. */
  public ToolLimits withTimeout(@Nullable Duration other) {
    return new ToolLimits(other, characters);
  }

  /** The same with another number of characters. */
  public ToolLimits withCharacters(int other) {
    return new ToolLimits(timeout, other);
  }
}
