package dev.podflare.sandbox;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * Where Spaces lie: each is one directory that holds all of it, and can be moved.
 *
 * <pre>
 *   spc_…/space.json          what it is (SpaceManifest)
 *   spc_…/space.json.sha256   as sha256sum writes it
 *   spc_…/machine/            the engine's snapshot, which has checksums of its own
 * </pre>
 *
 * <p>The manifest is there, and durable, before the snapshot is begun: so a directory whose
 * snapshot is whole is a whole Space, also when the server dies before it says so anywhere else.
 * Until then its name ends with {@code .new}.
 */
final class SpaceDirectories {

  private static final String MANIFEST = "space.json";
  private static final String CHECKSUM = "space.json.sha256";
  private static final String MACHINE = "machine";
  private static final String UNFINISHED = ".new";

  private final Path root;

  SpaceDirectories(Path root) throws IOException {
    this.root = Files.createDirectories(root);
  }

  /**
   * Makes the directory of a Space.
   *
   * @return where its machine's snapshot belongs, empty
   */
  Path begin(SpaceManifest manifest) throws IOException {
    Path directory = Files.createDirectory(unfinished(manifest.id()));
    boolean begun = false;
    try {
      String json = manifest.json() + "\n";
      Path file = Files.writeString(directory.resolve(MANIFEST), json);
      Path checksum = Files.writeString(directory.resolve(CHECKSUM), checksumOf(json));
      Path machine = Files.createDirectory(directory.resolve(MACHINE));
      Directories.makeDurable(file);
      Directories.makeDurable(checksum);
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

  /** Gives the directory of a Space that is whole its name. */
  void finish(SpaceId id) throws IOException {
    Files.move(unfinished(id), directory(id), StandardCopyOption.ATOMIC_MOVE);
    Directories.makeDurable(root);
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
    return directory(id).resolve(MACHINE);
  }

  private Path directory(SpaceId id) {
    return root.resolve(id.value());
  }

  private Path unfinished(SpaceId id) {
    return root.resolve(id.value() + UNFINISHED);
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
    return found("");
  }

  /** All that an earlier server did not finish. */
  List<SpaceId> unfinished() throws IOException {
    return found(UNFINISHED);
  }

  private List<SpaceId> found(String ending) throws IOException {
    List<SpaceId> found = new ArrayList<>();
    try (var directories = Files.newDirectoryStream(root)) {
      for (Path path : directories) {
        String name = path.getFileName().toString();
        if (name.endsWith(ending)) {
          SpaceId.parse(name.substring(0, name.length() - ending.length())).ifPresent(found::add);
        }
      }
    }
    return found;
  }

  /** Deletes what there is of a Space. */
  void delete(SpaceId id) throws IOException {
    Directories.delete(unfinished(id));
    Directories.delete(directory(id));
  }
}
