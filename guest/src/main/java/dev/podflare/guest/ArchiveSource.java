package dev.podflare.guest;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.Iterator;
import java.util.Optional;

/**
 * An archive, written anew for another guest: nothing gets there that was not understood here. In
 * front of it goes what is to be removed.
 */
final class ArchiveSource extends InputStream {

  private static final int HEADER = 1 + 2 + 4 + 4 + 8 + 8 + 2 + 2;
  private static final byte[] NOTHING = {};

  private final Iterator<String> removals;
  private final GuestArchive archive;
  private ByteBuffer record = ByteBuffer.allocate(0);
  private InputStream content = InputStream.nullInputStream();
  private boolean inRuns;
  private boolean ended;

  ArchiveSource(Collection<String> removals, GuestArchive archive) {
    this.removals = removals.iterator();
    this.archive = archive;
  }

  @Override
  public int read() throws IOException {
    byte[] one = new byte[1];
    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xFF;
  }

  @Override
  public int read(byte[] into, int offset, int length) throws IOException {
    if (length == 0) {
      return 0;
    }
    while (true) {
      if (record.hasRemaining()) {
        int step = Math.min(length, record.remaining());
        record.get(into, offset, step);
        return step;
      }
      int step = content.read(into, offset, length);
      if (step >= 0) {
        return step;
      }
      if (ended) {
        return -1;
      }
      advance();
    }
  }

  private void advance() throws IOException {
    if (removals.hasNext()) {
      record =
          record(GuestArchive.REMOVAL, 0, 0, 0, 0, 0, GuestPaths.encode(removals.next()), NOTHING);
      return;
    }
    if (inRuns) {
      Optional<GuestArchive.Run> run = archive.nextRun();
      if (run.isPresent()) {
        record =
            ByteBuffer.allocate(2 * Long.BYTES)
                .putLong(run.get().hole())
                .putLong(run.get().length())
                .flip();
        content = archive.run();
        return;
      }
    }
    Optional<GuestArchive.Entry> next = next();
    if (next.isEmpty()) {
      ended = true;
      record = record(GuestArchive.END, 0, 0, 0, 0, 0, NOTHING, NOTHING);
      return;
    }
    GuestArchive.Entry entry = next.get();
    record =
        record(
            archive.isSparse() ? GuestArchive.SPARSE : kindOf(entry.type()),
            entry.mode(),
            entry.user(),
            entry.group(),
            entry.modifiedNanos(),
            entry.size(),
            GuestPaths.encode(entry.path()),
            GuestPaths.encode(entry.target()));
    inRuns = archive.isSparse();
    content = inRuns ? InputStream.nullInputStream() : archive.content();
  }

  private Optional<GuestArchive.Entry> next() throws IOException {
    try {
      return archive.next();
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw (IOException)
          new java.io.InterruptedIOException("interrupted while files were read")
              .initCause(interrupted);
    }
  }

  private static int kindOf(GuestEntry.Type type) {
    return switch (type) {
      case FILE -> GuestArchive.FILE;
      case DIRECTORY -> GuestArchive.DIRECTORY;
      case SYMLINK -> GuestArchive.SYMLINK;
      case OTHER -> throw new IllegalArgumentException("an archive has none of these");
    };
  }

  private static ByteBuffer record(
      int kind,
      int mode,
      int user,
      int group,
      long modified,
      long size,
      byte[] path,
      byte[] target) {
    return ByteBuffer.allocate(HEADER + path.length + target.length)
        .put((byte) kind)
        .putShort((short) mode)
        .putInt(user)
        .putInt(group)
        .putLong(modified)
        .putLong(size)
        .putShort((short) path.length)
        .putShort((short) target.length)
        .put(path)
        .put(target)
        .flip();
  }
}
