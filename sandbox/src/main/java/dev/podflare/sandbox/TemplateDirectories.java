package dev.podflare.sandbox;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Where the templates that users built lie: one directory for each build that came to its end.
 *
 * <pre>
 *   tpl_…/template.json   what it is (TemplateManifest)
 *   tpl_…/machine/        the engine's snapshot, which has checksums of its own
 * </pre>
 *
 * <p>While it is made, its name ends with {@code .new}; all in it is durable before that ending
 * goes. So a directory by the name of a build is whole, whatever died.
 */
final class TemplateDirectories {

  private static final String MANIFEST = "template.json";
  private static final String MACHINE = "machine";
  private static final String UNFINISHED = ".new";

  private final Path root;

  TemplateDirectories(Path root) throws IOException {
    this.root = Files.createDirectories(root);
  }

  /**
   * Makes the directory of a build.
   *
   * @return where its machine's snapshot belongs, empty
   */
  Path begin(TemplateManifest manifest) throws IOException {
    TemplateId id = manifest.template().id();
    Path directory = Files.createDirectory(unfinished(id));
    boolean begun = false;
    try {
      Path file = Files.writeString(directory.resolve(MANIFEST), manifest.json() + "\n");
      Path machine = Files.createDirectory(directory.resolve(MACHINE));
      Directories.makeDurable(file);
      Directories.makeDurable(directory);
      begun = true;
      return machine;
    } finally {
      if (!begun) {
        Directories.delete(directory);
      }
    }
  }

  /** Gives the directory of a build whose snapshot is complete its name. */
  void finish(TemplateId id) throws IOException {
    Files.move(unfinished(id), directory(id), StandardCopyOption.ATOMIC_MOVE);
    Directories.makeDurable(root);
  }

  /** Whether the directory of a build is there, whole. */
  boolean has(TemplateId id) {
    return Files.isDirectory(directory(id));
  }

  /**
   * Reads what a build is.
   *
   * @throws IOException if it is not there, or its manifest can't be read
   */
  TemplateManifest read(TemplateId id) throws IOException {
    String json = Files.readString(directory(id).resolve(MANIFEST));
    try {
      TemplateManifest manifest = TemplateManifest.parse(json);
      if (!manifest.template().id().equals(id)) {
        throw new IOException("it is another build, " + manifest.template().id());
      }
      return manifest;
    } catch (IllegalArgumentException e) {
      throw new IOException("its manifest can't be read: " + e.getMessage(), e);
    }
  }

  /** Where the snapshot of its machine lies. */
  Path machine(TemplateId id) {
    return directory(id).resolve(MACHINE);
  }

  private Path directory(TemplateId id) {
    return root.resolve(id.value());
  }

  private Path unfinished(TemplateId id) {
    return root.resolve(id.value() + UNFINISHED);
  }

  /** All that are whole. */
  List<TemplateId> all() throws IOException {
    List<TemplateId> found = new ArrayList<>();
    try (var directories = Files.newDirectoryStream(root)) {
      for (Path path : directories) {
        TemplateId.parse(path.getFileName().toString()).ifPresent(found::add);
      }
    }
    return found;
  }

  /** Deletes what an earlier server did not finish. */
  void deleteUnfinished() throws IOException {
    try (var directories = Files.newDirectoryStream(root, "*" + UNFINISHED)) {
      for (Path path : directories) {
        Directories.delete(path);
      }
    }
  }

  /** Deletes what there is of a build. */
  void delete(TemplateId id) throws IOException {
    Directories.delete(unfinished(id));
    Directories.delete(directory(id));
  }
}
