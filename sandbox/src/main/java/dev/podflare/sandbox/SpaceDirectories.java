package dev.podflare.sandbox;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Where Spaces lie: each is one directory that holds all of it, and can be moved; kept as {@link
 * StoredSnapshots} says.
 *
 * <pre>
 *   spc_…/space.json          what it is (SpaceManifest)
 *   spc_…/space.json.sha256   as sha256sum writes it
 *   spc_…/machine/            the engine's snapshot, which has checksums of its own
 * </pre>
 */
final class SpaceDirectories {

  private static final String MANIFEST = "space.json";
  private static final String CHECKSUM = "space.json.sha256";

  private final StoredSnapshots stored;

  SpaceDirectories(Path root) throws IOException {
    this.stored = StoredSnapshots.in(root);
  }

  /**
   * Makes the directory of a Space.
   *
   * @return where its machine's snapshot belongs, empty
   */
  Path begin(SpaceManifest manifest) throws IOException {
    String json = manifest.json() + "\n";
    return stored.begin(manifest.id().value(), Map.of(MANIFEST, json, CHECKSUM, checksumOf(json)));
  }

  /** Gives the directory of a Space that is whole its name. */
  void finish(SpaceId id) throws IOException {
    stored.finish(id.value());
  }

  private static String checksumOf(String json) {
    return Sha256.of(json) + "  " + MANIFEST + "\n";
  }

  /**
   * Reads what a Space is.
   *
   * @throws IOException if there is none, or its manifest was altered, or can't be read
   */
  SpaceManifest read(SpaceId id) throws IOException {
    String json = Files.readString(directory(id).resolve(MANIFEST));
    String checksum = Files.readString(directory(id).resolve(CHECKSUM));
    if (!checksum.equals(checksumOf(json))) {
      throw new IOException("its manifest was altered");
    }
    try {
      SpaceManifest manifest = SpaceManifest.parse(json);
      if (!manifest.id().equals(id)) {
        throw new IOException("it is another Space, " + manifest.id());
      }
      return manifest;
    } catch (IllegalArgumentException e) {
      throw new IOException("its manifest can't be read: " + e.getMessage(), e);
    }
  }

  /** Where the snapshot of its machine lies. */
  Path machine(SpaceId id) {
    return stored.machine(id.value());
  }

  private Path directory(SpaceId id) {
    return stored.directory(id.value());
  }

  /** What it occupies by itself: files that are also somewhere else don't count. */
  long bytes(SpaceId id) throws IOException {
    try (Stream<Path> all = Files.walk(directory(id))) {
      long bytes = 0;
      for (Path path : all.filter(Files::isRegularFile).toList()) {
        Object names = Files.getAttribute(path, "unix:nlink", LinkOption.NOFOLLOW_LINKS);
        bytes += Integer.valueOf(1).equals(names) ? Files.size(path) : 0;
      }
      return bytes;
    }
  }

  /** All Spaces that have a directory by their name. */
  List<SpaceId> all() throws IOException {
    return stored.whole(SpaceId::parse);
  }

  /** All that an earlier server did not finish. */
  List<SpaceId> unfinished() throws IOException {
    return stored.unfinished(SpaceId::parse);
  }

  /** Deletes what there is of a Space. */
  void delete(SpaceId id) throws IOException {
    stored.delete(id.value());
  }
}
