package dev.podflare.sandbox;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * Directories that each hold a machine's snapshot, in {@code machine/}, and files that say what it
 * is.
 *
 * <p>Those files are there, and durable, before the snapshot is begun. Until all of it is made, the
 * directory's name ends with {@code .new}: so a directory by its own name is whole, whatever died.
 *
 * @param root where they lie
 */
record StoredSnapshots(Path root) {

  private static final String MACHINE = "machine";
  private static final String UNFINISHED = ".new";

  static StoredSnapshots in(Path root) throws IOException {
    return new StoredSnapshots(Files.createDirectories(root));
  }

  /**
   * Makes a directory.
   *
   * @param files what says what it is, by name
   * @return where its machine's snapshot belongs, empty
   */
  Path begin(String name, Map<String, String> files) throws IOException {
    Path directory = Files.createDirectory(unfinished(name));
    boolean begun = false;
    try {
      for (var file : files.entrySet()) {
        Directories.makeDurable(
            Files.writeString(directory.resolve(file.getKey()), file.getValue()));
      }
      Path machine = Files.createDirectory(directory.resolve(MACHINE));
      Directories.makeDurable(directory);
      Directories.makeDurable(root);
      begun = true;
      return machine;
    } finally {
      if (!begun) {
        Directories.delete(directory);
      }
    }
  }

  /** Gives a directory its name, now that its snapshot is complete. */
  void finish(String name) throws IOException {
    Files.move(unfinished(name), directory(name), StandardCopyOption.ATOMIC_MOVE);
    Directories.makeDurable(root);
  }

  /** Where one lies that is whole. */
  Path directory(String name) {
    return root.resolve(name);
  }

  /** Where the snapshot of its machine lies. */
  Path machine(String name) {
    return directory(name).resolve(MACHINE);
  }

  private Path unfinished(String name) {
    return root.resolve(name + UNFINISHED);
  }

  /**
   * The names of all that are whole.
   *
   * @param parse leaves out what is nobody's
   */
  <T> List<T> whole(Function<String, Optional<T>> parse) throws IOException {
    return names("", parse);
  }

  /** The names of all that an earlier server did not finish. */
  <T> List<T> unfinished(Function<String, Optional<T>> parse) throws IOException {
    return names(UNFINISHED, parse);
  }

  private <T> List<T> names(String ending, Function<String, Optional<T>> parse) throws IOException {
    List<T> found = new ArrayList<>();
    try (var directories = Files.newDirectoryStream(root, "*" + ending)) {
      for (Path path : directories) {
        String name = path.getFileName().toString();
        parse.apply(name.substring(0, name.length() - ending.length())).ifPresent(found::add);
      }
    }
    return found;
  }

  /** Deletes what there is of one. */
  void delete(String name) throws IOException {
    Directories.delete(unfinished(name));
    Directories.delete(directory(name));
  }
}
