package dev.podflare.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * How {@code down} tells a server that its sandboxes are to end with it: a file in the data
 * directory, which the server finds when it is stopped. A signal alone leaves them to the next
 * server, whoever sends it.
 */
final class EndOfAll {

  private EndOfAll() {}

  private static Path file(Path dataDirectory) {
    return dataDirectory.resolve("end-all");
  }

  static void ask(Path dataDirectory) throws IOException {
    Files.write(file(dataDirectory), new byte[0]);
  }

  static boolean isAsked(Path dataDirectory) {
    return Files.exists(file(dataDirectory));
  }

  static void forget(Path dataDirectory) throws IOException {
    Files.deleteIfExists(file(dataDirectory));
  }
}
