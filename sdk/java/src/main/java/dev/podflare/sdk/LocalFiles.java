package dev.podflare.sdk;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Files of this machine on their way to a sandbox. */
final class LocalFiles {
  private static final int LONGEST_NAME = 1024;
  private static final Pattern PATH = Pattern.compile("(?s)(/|~/|\\./|\\.\\./).*");

  private LocalFiles() {}

  /**
   * A file to be copied.
   *
   * @param target its path in the sandbox
   * @param mode its permissions in octal; null if the local file system has none
   */
  record Copied(Path source, String target, @Nullable String mode) {}

  /** The file, or all that are in the folder. */
  static List<Copied> under(Path local, String path) {
    Path top = local.toAbsolutePath().normalize();
    String target = path.endsWith("/") ? path + top.getFileName() : path;
    if (!Files.isDirectory(top)) {
      if (!Files.exists(top)) {
        throw new UncheckedIOException(
            "what was to be uploaded is not there", new NoSuchFileException(local.toString()));
      }
      return List.of(new Copied(top, target, mode(top)));
    }
    try (Stream<Path> all = Files.walk(top)) {
      return all.filter(Files::isRegularFile)
          .sorted()
          .map(file ->
              new Copied(
                  file,
                  target + "/" + top.relativize(file).toString().replace('\\', '/'),
                  mode(file)))
          .toList();
    } catch (IOException unread) {
      throw new UncheckedIOException("what was to be uploaded can't be read", unread);
    }
  }

  private static @Nullable String mode(Path file) {
    try {
      String allowed = PosixFilePermissions.toString(Files.getPosixFilePermissions(file));
      int bits = 0;
      for (int i = 0; i < allowed.length(); i++) {
        bits = bits << 1 | (allowed.charAt(i) == '-' ? 0 : 1);
      }
      return String.format("%04o", bits);
    } catch (UnsupportedOperationException windows) {
      return null;
    } catch (IOException unread) {
      throw new UncheckedIOException("what was to be uploaded can't be read", unread);
    }
  }

  /** Refuses a text that is the path of a file here, or that of its copy, as cp takes the two. */
  static void requireText(String path, String text) {
    if (isFile(text) || (PATH.matcher(text).matches() && isFile(path))) {
      throw new IllegalArgumentException(
          "upload takes a path in the sandbox and the data itself, and this looks like the path of"
              + " a local file: sandbox.uploadFrom(local, path) copies one; to store a text that"
              + " looks like a path, pass it as bytes");
    }
  }

  private static boolean isFile(String name) {
    if (name.length() > LONGEST_NAME) {
      return false;
    }
    try {
      String home = System.getProperty("user.home");
      return Files.isRegularFile(Path.of(name.startsWith("~/") ? home + name.substring(1) : name));
    } catch (InvalidPathException none) {
      return false;
    }
  }
}
