package dev.podflare.guest;

import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
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
  static final int SPARSE = 5;

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

  /**
   * A stretch of a sparse file.
   *
   * @param hole bytes that are zero and were never written
   * @param length bytes of content behind them
   */
  record Run(long hole, long length) {}

  private final Exchange exchange;
  private final Records records;
  private final Set<String> expected;
  private boolean sparse;
  // Of the last entry: in all, of the hole that is being read, and of the content behind it.
  private long contentLeft;
  private long holeLeft;
  private long runLeft;
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
      skipContent();
      return read();
    } catch (ProtocolViolation violation) {
      throw exchange.violated(violation);
    } catch (IOException failed) {
      throw exchange.failure(failed);
    }
  }

  private void skipContent() throws IOException, ProtocolViolation {
    byte[] skipped = new byte[contentLeft > 0 ? Limits.BLOCK : 0];
    while (contentLeft > 0) {
      if (holeLeft == 0 && runLeft == 0) {
        readRun();
      }
      // A hole of any size costs nothing.
      contentLeft -= holeLeft;
      holeLeft = 0;
      while (runLeft > 0) {
        var _ = readRun(skipped, 0, skipped.length);
      }
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
          case FILE, SPARSE -> GuestEntry.Type.FILE;
          case DIRECTORY -> GuestEntry.Type.DIRECTORY;
          case SYMLINK -> GuestEntry.Type.SYMLINK;
          default -> throw new ProtocolViolation("it packed a thing of an unknown kind");
        };
    String path = records.path(pathLength);
    String target = records.name(targetLength);
    if (!expected.remove(path)) {
      throw new ProtocolViolation("it packed a file that it was not asked for");
    }
    if ((type != GuestEntry.Type.FILE && size != 0)
        || (kind == SYMLINK) == target.isEmpty()
        || mode > 07777
        || target.indexOf('\0') >= 0) {
      throw new ProtocolViolation("it packed a thing that can't be");
    }
    sparse = kind == SPARSE;
    contentLeft = size;
    holeLeft = 0;
    runLeft = sparse ? 0 : size;
    return Optional.of(new Entry(type, path, mode, user, group, modified, size, target));
  }

  /** The content of the last entry, up to the next call of {@link #next}; zeros for its holes. */
  public InputStream content() {
    return new Content();
  }

  /** Whether the last entry comes in runs. */
  boolean isSparse() {
    return sparse;
  }

  /** The next run of a sparse entry, or empty at its end. The one before has been read. */
  Optional<Run> nextRun() throws IOException {
    if (contentLeft == 0) {
      return Optional.empty();
    }
    try {
      readRun();
    } catch (ProtocolViolation violation) {
      throw exchange.violated(violation);
    }
    var run = new Run(holeLeft, runLeft);
    contentLeft -= holeLeft;
    holeLeft = 0;
    return Optional.of(run);
  }

  /** What is left of the run that was told last. */
  InputStream run() {
    return new Content() {
      @Override
      public int read(byte[] into, int offset, int length) throws IOException {
        return length == 0 ? 0 : runLeft == 0 ? -1 : readRun(into, offset, length);
      }
    };
  }

  private void readRun() throws IOException, ProtocolViolation {
    long hole = records.u63("a hole");
    long length = records.u63("a run");
    if (hole > contentLeft || length > contentLeft - hole || hole + length == 0) {
      throw new ProtocolViolation("it packed a file whose runs are not its size");
    }
    holeLeft = hole;
    runLeft = length;
  }

  private int readContent(byte[] into, int offset, int length) throws IOException {
    if (holeLeft == 0 && runLeft == 0) {
      try {
        readRun();
      } catch (ProtocolViolation violation) {
        throw exchange.violated(violation);
      }
    }
    if (holeLeft == 0) {
      return readRun(into, offset, length);
    }
    int step = (int) Math.min(length, holeLeft);
    Arrays.fill(into, offset, offset + step, (byte) 0);
    holeLeft -= step;
    contentLeft -= step;
    return step;
  }

  private int readRun(byte[] into, int offset, int length) throws IOException {
    int step = records.read(into, offset, (int) Math.min(length, runLeft));
    if (step < 0) {
      throw exchange.cutShort();
    }
    runLeft -= step;
    contentLeft -= step;
    return step;
  }

  /** Takes no more; the guest sends no more. */
  @Override
  public void close() {
    exchange.close();
  }

  private class Content extends InputStream {

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
