package dev.podflare.engine.qemu;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The checksums of files that were read in the life of this process. One that is still the same by
 * inode, size and time of its last change is not read again: a Space that is resumed often is
 * mapped and not read, and the base images that many snapshots share are read once.
 *
 * <p>Safe for use by many threads.
 */
final class VerifiedFiles {

  private record Content(long size, long modified, long crc32c) {}

  private final Map<Object, Content> known = new ConcurrentHashMap<>();

  /** Whether a file is what the checksum says. */
  boolean holds(Checksum checksum, Path directory) throws IOException {
    Path file = directory.resolve(checksum.name());
    try {
      // The length first: it costs nothing.
      return Files.size(file) == checksum.size() && checksumOf(file).equals(checksum);
    } catch (NoSuchFileException missing) {
      return false;
    }
  }

  /** A file's checksum; the file is read only if it was not read before. */
  Checksum checksumOf(Path file) throws IOException {
    BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
    Object inode = attributes.fileKey();
    long modified = attributes.lastModifiedTime().to(TimeUnit.NANOSECONDS);
    @Nullable Content before = known.get(inode);
    if (before != null && before.size() == attributes.size() && before.modified() == modified) {
      return new Checksum(file.getFileName().toString(), before.size(), before.crc32c());
    }
    Checksum checksum = Checksum.of(file);
    known.put(inode, new Content(checksum.size(), modified, checksum.crc32c()));
    return checksum;
  }
}
