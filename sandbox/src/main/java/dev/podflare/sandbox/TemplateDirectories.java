package dev.podflare.sandbox;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * Where the templates that users built lie: one directory for each build that came to its end, kept
 * as {@link StoredSnapshots} says.
 *
 * <pre>
 *   tpl_…/template.json   what it is (TemplateManifest)
 *   tpl_…/machine/        the engine's snapshot, which has checksums of its own
 * </pre>
 */
final class TemplateDirectories {

  private static final String MANIFEST = "template.json";

  private final StoredSnapshots stored;

  TemplateDirectories(Path root) throws IOException {
    this.stored = StoredSnapshots.in(root);
  }

  /**
   * Makes the directory of a build.
   *
   * @return where its machine's snapshot belongs, empty
   */
  Path begin(TemplateManifest manifest) throws IOException {
    return stored.begin(manifest.template().id().value(), Map.of(MANIFEST, manifest.json() + "\n"));
  }

  /** Gives the directory of a build whose snapshot is complete its name. */
  void finish(TemplateId id) throws IOException {
    stored.finish(id.value());
  }

  /** Whether the directory of a build is there, whole. */
  boolean has(TemplateId id) {
    return Files.isDirectory(stored.directory(id.value()));
  }

  /**
   * Reads what a build is.
   *
   * @throws IOException if it is not there, or its manifest can't be read
   */
  TemplateManifest read(TemplateId id) throws IOException {
    String json = Files.readString(stored.directory(id.value()).resolve(MANIFEST));
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
    return stored.machine(id.value());
  }

  /** All that are whole. */
  List<TemplateId> all() throws IOException {
    return stored.whole(TemplateId::parse);
  }

  /** Deletes what an earlier server did not finish. */
  void deleteUnfinished() throws IOException {
    for (TemplateId id : stored.unfinished(TemplateId::parse)) {
      delete(id);
    }
  }

  /** Deletes what there is of a build. */
  void delete(TemplateId id) throws IOException {
    stored.delete(id.value());
  }
}
