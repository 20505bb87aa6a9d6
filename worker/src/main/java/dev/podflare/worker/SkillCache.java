package dev.podflare.worker;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * Archives of skill versions, which never change, on the worker's disk. What was not used for
 * longest is removed first. Any number of threads, and of workers, may share one.
 */
final class SkillCache {
  private static final long LARGEST = 512L << 20;
  private static final Duration BROKEN_OFF = Duration.ofDays(1);
  private static final String SUFFIX = ".zip";

  private final Path directory;
  private final InstantSource clock;

  /** A cache of one environment: another one's archives are none of its business. */
  SkillCache(Path directory, String environment, InstantSource clock) {
    this.clock = clock;
    this.directory = directory.resolve(environment);
  }

  /** Downloads to a file that does not exist. */
  interface Download {
    void to(Path part) throws ProviderException, InterruptedException;
  }

  /** The archive of a version; it is downloaded if it is not there. */
  Path get(String version, Download download)
      throws ProviderException, MountException, InterruptedException {
    Path kept = directory.resolve(Memory.hash(version) + SUFFIX);
    try {
      Files.createDirectories(
          directory,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
      if (Files.isRegularFile(kept)) {
        Files.setLastModifiedTime(kept, FileTime.from(clock.instant()));
        return kept;
      }
      Path part = directory.resolve(UUID.randomUUID() + ".part");
      download.to(part);
      Files.move(part, kept, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      removeOld(kept);
      return kept;
    } catch (IOException unusable) {
      throw new MountException(
          "the worker's cache of skills can't be used: "
              + unusable.getMessage()
              + "; see that "
              + directory
              + " is writable and its disk has room",
          unusable);
    }
  }

  private void removeOld(Path kept) throws IOException {
    List<Path> archives = new ArrayList<>();
    try (Stream<Path> all = Files.list(directory)) {
      archives.addAll(all.toList());
    }
    Instant longAgo = clock.instant().minus(BROKEN_OFF);
    for (Path part : archives) {
      // A worker that was killed left it.
      if (!part.toString().endsWith(SUFFIX) && usedAt(part) < longAgo.toEpochMilli()) {
        Files.deleteIfExists(part);
      }
    }
    archives.removeIf(each -> !each.toString().endsWith(SUFFIX));
    archives.sort(Comparator.comparingLong(SkillCache::usedAt).reversed());
    long size = 0;
    for (Path archive : archives) {
      size += archive.toFile().length();
      if (size > LARGEST && !archive.equals(kept)) {
        Files.deleteIfExists(archive);
      }
    }
  }

  private static long usedAt(Path archive) {
    return archive.toFile().lastModified();
  }
}
