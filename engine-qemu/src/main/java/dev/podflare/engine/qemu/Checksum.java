package dev.podflare.engine.qemu;

import dev.podflare.host.Extent;
import dev.podflare.host.SparseFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.CRC32C;

/**
 * What a file of a snapshot was when it was written.
 *
 * <p>Guards against files that were torn by a crash, went bad on the disk or were mixed up, not
 * against somebody who can write into the server's directory. So it is the sum that processors have
 * an instruction for: a snapshot has hundreds of megabytes.
 *
 * @param name of the file in the snapshot's directory
 * @param size in bytes
 * @param crc32c of those of its pages that are not all zeros, each with its place: so a copy with
 *     other holes has the same
 */
record Checksum(String name, long size, long crc32c) {

  private static final int PAGE = 4096;
  private static final int BUFFER = 256 * PAGE;
  private static final ByteBuffer ZEROS = ByteBuffer.allocate(PAGE).asReadOnlyBuffer();

  Checksum {
    if (name.isEmpty() || name.contains("/") || name.startsWith(".")) {
      throw new IllegalArgumentException("not a file of a snapshot: " + name);
    }
  }

  static Checksum of(Path file) throws IOException {
    CRC32C sum = new CRC32C();
    ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER);
    try (FileChannel channel = FileChannel.open(file)) {
      for (Extent extent : SparseFile.content(file)) {
        for (long at = extent.offset() / PAGE * PAGE; at < extent.end(); at += buffer.limit()) {
          buffer.clear().limit((int) Math.min(BUFFER, extent.end() - at));
          while (buffer.hasRemaining()) {
            if (channel.read(buffer, at + buffer.position()) < 0) {
              throw new IOException(file + " got shorter while it was read");
            }
          }
          addPages(buffer.flip(), at, sum);
        }
      }
      return new Checksum(file.getFileName().toString(), Files.size(file), sum.getValue());
    }
  }

  private static void addPages(ByteBuffer buffer, long offset, CRC32C sum) {
    ByteBuffer place = ByteBuffer.allocate(Long.BYTES);
    for (int at = 0; at < buffer.limit(); at += PAGE) {
      ByteBuffer page = buffer.slice(at, Math.min(PAGE, buffer.limit() - at));
      if (page.mismatch(ZEROS.slice(0, page.limit())) >= 0) {
        sum.update(place.clear().putLong(offset + at).flip());
        sum.update(page);
      }
    }
  }
}
