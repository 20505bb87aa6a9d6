package dev.podflare.guest;

import java.io.IOException;
import java.io.InputStream;
import java.util.Collection;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;

/**
 * Files on their way out of a guest, one after the other, for one reader. It holds what was asked
 * for and nothing else: each thing at one of those paths, and each path once. What was not there
 * any more is not in it.
 */
public final class GuestArchive implements AutoCloseable {

  static final int END = 0;
  static final int FILE = 1;
  static final int DIRECTORY = 2;
  static final int SYMLINK = 3;
  static final int REMOVAL = 4;

  /**
   * One thing.
   *
   * @param type never {@code OTHER}
   * @param user the number of its owner
   * @param group the number of its group
   * @param size bytes of {@link #content}; 0 of anything but a file
   * @param target of a symbolic link; else empty
   */
  public record Entry(
      GuestEntry.Type type,
      String path,
      int mode,
      int user,
      int group,
      long modifiedNanos,
      long size,
      String target) {}

  private final Exchange exchange;
  private final Records records;
  private final Set<String> expected;
  private long contentLeft;
  private boolean ended;

  GuestArchive(Exchange exchange, Collection<String> paths) {
    this.exchange = exchange;
    this.records = new Records(exchange.stream());
    this.expected = new HashSet<>(paths);
  }

  /** The next entry, or empty at the end. What is left of the content of the last is skipped. */
  public Optional<Entry> next() throws GuestException, InterruptedException {
    try {
      if (ended) {
        return Optional.empty();
      }
      byte[] skipped = new byte[contentLeft > 0 ? Limits.BLOCK : 0];
      while (contentLeft > 0) {
        var _ = readContent(skipped, 0, skipped.length);
      }
      return read();
    } catch (ProtocolViolation violation) {
      throw exchange.violated(violation);
    } catch (IOException failed) {
      throw exchange.failure(failed);
    }
  }

  private Optional<Entry> read() throws IOException, ProtocolViolation {
    int kind = records.u8();
    int mode = records.u16();
    int user = records.i32();
    int group = records.i32();
    long modified = records.i64();
    long size = records.u63("a size");
    int pathLength = records.u16();
    int targetLength = records.u16();
    if (kind == END) {
      ended = true;
      if (records.hasNext()) {
        throw new ProtocolViolation("its archive goes on after its end");
      }
      return Optional.empty();
    }
    GuestEntry.Type type =
        switch (kind) {
          case FILE -> GuestEntry.Type.FILE;
          case DIRECTORY -> GuestEntry.Type.DIRECTORY;
          case SYMLINK -> GuestEntry.Type.SYMLINK;
          default -> throw new ProtocolViolation("it packed a thing of an unknown kind");
        };
    String path = records.path(pathLength);
    String target = records.name(targetLength);
    if (!expected.remove(path)) {
      throw new ProtocolViolation("it packed a file that it was not asked for");
    }
    if ((kind != FILE && size != 0)
        || (kind == SYMLINK) == target.isEmpty()
        || mode > 07777
        || target.indexOf('\0') >= 0) {
      throw new ProtocolViolation("it packed a thing that can't be");
    }
    contentLeft = size;
    return Optional.of(new Entry(type, path, mode, user, group, modified, size, target));
  }

  /** The content of the last entry, up to the next call of {@link #next}. */
  public InputStream content() {
    return new Content();
  }

  private int readContent(byte[] into, int offset, int length) throws IOException {
    int step = records.read(into, offset, (int) Math.min(length, contentLeft));
    if (step < 0) {
      throw exchange.cutShort();
    }
    contentLeft -= step;
    return step;
  }

  /** Takes no more; the guest sends no more. */
  @Override
  public void close() {
    exchange.close();
  }

  private final class Content extends InputStream {

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
      return contentLeft == 0 ? -1 : readContent(into, offset, length);
    }
  }
}
