package dev.podflare.worker;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.util.Set;

/** A secret in a file that nobody but its owner can use. */
final class SecretFile {
  private static final long LONGEST = 4096;
  private static final Set<PosixFilePermission> OWNERS =
      Set.of(PosixFilePermission.OWNER_READ, PosixFilePermission.OWNER_WRITE);

  private SecretFile() {}

  /**
   * The secret of a file, without white space around it.
   *
   * @param option what named the file
   * @throws IllegalArgumentException there is none, or others can read it; the text is for a person
   */
  static String read(Path file, String option) {
    try {
      if (!Files.isRegularFile(file)) {
        throw new IllegalArgumentException(
            file + " is no file; " + option + " names one with the key");
      }
      if (!OWNERS.containsAll(Files.getPosixFilePermissions(file))) {
        throw new IllegalArgumentException(
            "others than its owner can use " + file + ", which holds a key: chmod 600 " + file);
      }
      if (Files.size(file) > LONGEST) {
        throw new IllegalArgumentException(file + " is too long to be a key");
      }
      String text = Files.readString(file, StandardCharsets.US_ASCII).strip();
      if (text.isEmpty()) {
        throw new IllegalArgumentException(file + " is empty: put the key into it");
      }
      if (!WorkItem.mayBeHeader(text)) {
        throw new IllegalArgumentException(
            file + " has a character that can't be part of a key; copy it again");
      }
      return text;
    } catch (IOException unreadable) {
      throw new IllegalArgumentException(
          file + " can't be read as a key: " + unreadable.getMessage(), unreadable);
    }
  }
}
