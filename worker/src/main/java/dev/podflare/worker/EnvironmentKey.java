package dev.podflare.worker;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The one credential of a worker: it opens the queue of one environment, and no more. It is never
 * an argument of a command, since every user of a machine can read those, and never in a log.
 */
public final class EnvironmentKey {
  /** The environment variable that has it. */
  public static final String VARIABLE = "ANTHROPIC_ENVIRONMENT_KEY";

  private static final long LONGEST_FILE = 4096;
  private static final Set<PosixFilePermission> OWNERS =
      Set.of(PosixFilePermission.OWNER_READ, PosixFilePermission.OWNER_WRITE);

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
    String text = file == null ? environment.getOrDefault(VARIABLE, "") : read(file);
    String source = file == null ? VARIABLE : file.toString();
    if (text.isBlank()) {
      throw new IllegalArgumentException(
          file == null
              ? "there is no environment key: generate one for the environment in the provider's"
                  + " console, and put it into "
                  + VARIABLE
                  + ", or into a file of mode 0600 that --key-file names"
              : file + " is empty: put the environment's key into it");
    }
    if (!WorkItem.mayBeHeader(text.strip())) {
      throw new IllegalArgumentException(
          "the environment key from "
              + source
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

  private static String read(Path file) {
    try {
      if (!Files.isRegularFile(file)) {
        throw new IllegalArgumentException(file + " is no file; --key-file names one with the key");
      }
      if (!OWNERS.containsAll(Files.getPosixFilePermissions(file))) {
        throw new IllegalArgumentException(
            "others than its owner can use " + file + ", which holds a key: chmod 600 " + file);
      }
      if (Files.size(file) > LONGEST_FILE) {
        throw new IllegalArgumentException(file + " is too long to be a key");
      }
      return Files.readString(file, StandardCharsets.US_ASCII);
    } catch (IOException unreadable) {
      throw new IllegalArgumentException(
          file + " can't be read as a key: " + unreadable.getMessage(), unreadable);
    }
  }
}
