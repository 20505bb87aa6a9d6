package dev.podflare.worker;

import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The one credential of a worker: it opens the queue of one environment, and no more. It is never
 * an argument of a command, since every user of a machine can read those, and never in a log.
 */
public final class EnvironmentKey {
  /** The environment variable that has it. */
  public static final String VARIABLE = "ANTHROPIC_ENVIRONMENT_KEY";

  private final String secret;

  private EnvironmentKey(String secret) {
    this.secret = secret;
  }

  /**
   * The key of a file, if one is named, else that of the environment.
   *
   * @throws IllegalArgumentException there is none, or others can read it; the text is for a person
   */
  public static EnvironmentKey of(@Nullable Path file, Map<String, String> environment) {
    String text =
        file == null ? environment.getOrDefault(VARIABLE, "") : SecretFile.read(file, "--key-file");
    if (text.isBlank()) {
      throw new IllegalArgumentException(
          "there is no environment key: generate one for the environment in the provider's"
              + " console, and put it into "
              + VARIABLE
              + ", or into a file of mode 0600 that --key-file names");
    }
    if (!WorkItem.mayBeHeader(text.strip())) {
      throw new IllegalArgumentException(
          "the environment key from "
              + VARIABLE
              + " has a character that can't be part of a key; copy it again");
    }
    return new EnvironmentKey(text.strip());
  }

  String secret() {
    return secret;
  }

  @Override
  public String toString() {
    return "EnvironmentKey";
  }
}
