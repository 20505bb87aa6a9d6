package dev.podflare.worker;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** Directories that the worker made for a moment. */
final class Trees {
  private static final Logger LOG = System.getLogger(Trees.class.getPackageName());

  private Trees() {}

  /** Removes a directory with all that is in it. What stays is told to the log. */
  static void remove(Path root) {
    try {
      List<Path> all;
      try (Stream<Path> walked = Files.walk(root)) {
        all = walked.sorted(Comparator.reverseOrder()).toList();
      }
      for (Path each : all) {
        Files.deleteIfExists(each);
      }
    } catch (IOException | UncheckedIOException stays) {
      LOG.log(Level.WARNING, "{0} can''t be removed: {1}", root, stays.getMessage());
    }
  }
}
