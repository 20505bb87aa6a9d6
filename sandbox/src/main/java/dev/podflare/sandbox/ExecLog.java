package dev.podflare.sandbox;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The events of one exec, as they were first told, and whose turn it is to write the next ones.
 *
 * <p><b>Where they are.</b> The last {@link ExecBlocks#BLOCK} bytes at most are in memory; full
 * blocks go to disk. The oldest ones may be dropped, and are when the disk fails; readers who come
 * to them are told of a {@link ExecEvent.Gap}. The exit is never lost.
 *
 * <p><b>Who writes.</b> One thread at a time takes events from the guest. As long as a reader waits
 * for them, that one does it: a thread for it alone would cost each event a change of threads. The
 * other readers wait for what is written, or for this place to be free.
 */
final class ExecLog {

  private static final System.Logger LOG = System.getLogger(ExecLog.class.getName());
  private static final int BLOCK = ExecBlocks.BLOCK;

  /** What of an exec that has ended may stay in memory, since there may be many of these. */
  private static final int MOST_IN_MEMORY = 4 << 10;

  /** Enough for one write. */
  private static final int MOST_AT_ONCE = 16;

  private static final int MOST_BYTES_AT_ONCE = 64 << 10;

  /**
   * A block on disk.
   *
   * @param firstSeq the number of the first event that begins in it
   * @param firstAt where that begins; negative if none does
   */
  private record Block(int number, long firstSeq, int firstAt) {}

  /** Where an event begins. */
  private record Place(long seq, long offset) {}

  private final ExecBlocks blocks;
  private final InstantSource clock;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final List<Block> full = new ArrayList<>();

  /** Blocks that were before those in {@link #full}. */
  private long dropped;

  private byte[] tail = new byte[256];
  private int tailLength;
  private long tailSeq;
  private int tailAt = -1;

  /** Where the next event begins, counted in bytes from the first one. */
  private long length;

  private long nextSeq;
  private @Nullable ToldEvent exit;
  private boolean written = true;
  private int wantToWrite;

  /** Whoever keeps it, whoever writes it, and its readers. */
  private int holders = 2;

  /**
   * A log that its maker writes, until it {@linkplain #stopWriting says otherwise}.
   *
   * @param firstSeq the number of its first event
   */
  ExecLog(ExecBlocks blocks, InstantSource clock, long firstSeq) {
    this.blocks = blocks;
    this.clock = clock;
    this.nextSeq = firstSeq;
  }

  // ---- who writes ----

  /** Takes the writer's place if it is free, and nobody else wants it. */
  boolean tryToWrite() {
    lock.lock();
    try {
      boolean free = !written && wantToWrite == 0 && exit == null;
      written |= free;
      return free;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Waits for the writer's place, before all who only try.
   *
   * @return false if there is nothing left to write
   */
  boolean awaitWriting() throws InterruptedException {
    lock.lockInterruptibly();
    wantToWrite++;
    try {
      while (written && exit == null) {
        changed.await();
      }
      if (exit != null) {
        return false;
      }
      written = true;
      return true;
    } finally {
      wantToWrite--;
      lock.unlock();
    }
  }

  void stopWriting() {
    lock.lock();
    try {
      written = false;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  // ---- write ----

  /** Adds events; the writer only. Nothing comes after an exit. */
  List<ToldEvent> append(List<ExecEvent> events) {
    Instant at = clock.instant();
    List<ToldEvent> told = new ArrayList<>(events.size());
    lock.lock();
    try {
      for (ExecEvent event : events) {
        ToldEvent one = new ToldEvent(nextSeq, at, event);
        if (event instanceof ExecEvent.Exit) {
          exit = one;
          putAway();
        } else {
          begin();
          put(ToldEventBytes.of(event, at));
        }
        nextSeq++;
        told.add(one);
      }
      changed.signalAll();
      return told;
    } finally {
      lock.unlock();
    }
  }

  private void begin() {
    if (tailLength == BLOCK) {
      spill();
    }
    if (tailAt < 0) {
      tailAt = tailLength;
      tailSeq = nextSeq;
    }
  }

  private void put(byte[] bytes) {
    int done = 0;
    while (done < bytes.length) {
      if (tailLength == BLOCK) {
        spill();
      }
      int fits = Math.min(bytes.length - done, BLOCK - tailLength);
      if (tailLength + fits > tail.length) {
        tail = Arrays.copyOf(tail, Math.min(BLOCK, Math.max(tailLength + fits, 2 * tail.length)));
      }
      System.arraycopy(bytes, done, tail, tailLength, fits);
      tailLength += fits;
      done += fits;
    }
    length += bytes.length;
  }

  private void spill() {
    try {
      full.add(new Block(blocks.write(tail), tailSeq, tailAt));
    } catch (IOException e) {
      LOG.log(System.Logger.Level.WARNING, "output of an exec is lost, as it can't be written", e);
      dropped += full.size() + 1;
      freeAll();
    }
    tailLength = 0;
    tailAt = -1;
  }

  private void freeAll() {
    full.forEach(block -> blocks.free(block.number()));
    full.clear();
  }

  /** There will be no more. */
  private void putAway() {
    if (tailLength > MOST_IN_MEMORY) {
      tail = Arrays.copyOf(tail, BLOCK);
      spill();
    }
    tail = Arrays.copyOf(tail, tailLength);
  }

  // ---- look ----

  boolean hasEnded() {
    lock.lock();
    try {
      return exit != null;
    } finally {
      lock.unlock();
    }
  }

  /** How many events have been told, or the number of the next one. */
  long nextSeq() {
    lock.lock();
    try {
      return nextSeq;
    } finally {
      lock.unlock();
    }
  }

  /** The number of the oldest event that is kept, or of the next one. */
  long firstSeq() {
    lock.lock();
    try {
      return first().seq();
    } finally {
      lock.unlock();
    }
  }

  /** How many bytes of events there have been. */
  long length() {
    lock.lock();
    try {
      return length;
    } finally {
      lock.unlock();
    }
  }

  /** How many bytes it takes. */
  long size() {
    lock.lock();
    try {
      return (long) full.size() * BLOCK + tail.length;
    } finally {
      lock.unlock();
    }
  }

  private Place first() {
    for (int i = 0; i < full.size(); i++) {
      if (full.get(i).firstAt() >= 0) {
        return placeIn(i);
      }
    }
    return tailPlace();
  }

  private Place placeIn(int index) {
    Block block = full.get(index);
    return new Place(block.firstSeq(), (dropped + index) * BLOCK + block.firstAt());
  }

  private Place tailPlace() {
    return tailAt >= 0
        ? new Place(tailSeq, (dropped + full.size()) * BLOCK + tailAt)
        : new Place(exit == null ? nextSeq : exit.seq(), length);
  }

  // ---- keep less ----

  /** Drops the oldest block on disk; false if there is none. */
  boolean dropOldest() {
    lock.lock();
    try {
      if (full.isEmpty()) {
        return false;
      }
      blocks.free(full.removeFirst().number());
      dropped++;
      return true;
    } finally {
      lock.unlock();
    }
  }

  /** Gives back what it takes of disk and memory, once all who hold it have said this. */
  void release() {
    lock.lock();
    try {
      holders--;
      if (holders == 0) {
        dropped += full.size();
        freeAll();
        tail = new byte[0];
        tailLength = 0;
        tailAt = -1;
      }
    } finally {
      lock.unlock();
    }
  }

  // ---- read ----

  /** How far a reader has come. For one thread. */
  static final class Cursor {

    private final long from;
    private long seq;
    private long offset;
    private boolean over;

    /** A block of which it reads event by event. */
    private byte[] page = new byte[0];

    private long pageNumber = -1;

    private Cursor(long from, Place place) {
      this.from = from;
      this.seq = place.seq();
      this.offset = place.offset();
    }

    /** Whether it has read the exit. */
    boolean isOver() {
      return over;
    }
  }

  /** A reader of the events from a number on, who must {@link #release} the log. */
  Cursor open(long from) {
    lock.lock();
    try {
      holders++;
      Place first = first();
      Place best = from < first.seq() ? new Place(from, -1) : first;
      for (int i = 0; i < full.size(); i++) {
        if (full.get(i).firstAt() >= 0 && full.get(i).firstSeq() <= from) {
          best = placeIn(i);
        }
      }
      if (tailPlace().seq() <= from) {
        best = tailPlace();
      }
      return new Cursor(from, best);
    } finally {
      lock.unlock();
    }
  }

  /** What is there, some events at most; none if nothing is. */
  List<ToldEvent> read(Cursor cursor) {
    List<ToldEvent> told = new ArrayList<>();
    lock.lock();
    try {
      skipWhatIsLost(cursor, told);
      long end = cursor.offset + MOST_BYTES_AT_ONCE;
      while (cursor.offset < Math.min(length, end) && told.size() < MOST_AT_ONCE) {
        ToldEvent one = next(cursor);
        if (one.seq() >= cursor.from) {
          told.add(one);
        }
      }
      if (exit != null && cursor.offset == length && !cursor.over) {
        cursor.over = true;
        told.add(exit);
      }
      return told;
    } finally {
      lock.unlock();
    }
  }

  private void skipWhatIsLost(Cursor cursor, List<ToldEvent> told) {
    Place first = first();
    if (cursor.offset < first.offset()) {
      long wanted = Math.max(cursor.seq, cursor.from);
      if (wanted < first.seq()) {
        told.add(
            new ToldEvent(wanted, clock.instant(), new ExecEvent.Gap(wanted, first.seq() - 1)));
      }
      cursor.seq = first.seq();
      cursor.offset = first.offset();
    }
  }

  private ToldEvent next(Cursor cursor) {
    byte[] head = bytes(cursor, ToldEventBytes.HEAD);
    byte[] rest = bytes(cursor, ToldEventBytes.lengthBehind(head));
    return ToldEventBytes.read(cursor.seq++, head, rest);
  }

  private byte[] bytes(Cursor cursor, int count) {
    byte[] bytes = new byte[count];
    int done = 0;
    while (done < count) {
      long number = cursor.offset / BLOCK;
      int at = (int) (cursor.offset % BLOCK);
      int there = Math.min(count - done, BLOCK - at);
      System.arraycopy(block(cursor, number), at, bytes, done, there);
      done += there;
      cursor.offset += there;
    }
    return bytes;
  }

  private byte[] block(Cursor cursor, long number) {
    int index = (int) (number - dropped);
    if (index == full.size()) {
      return tail;
    }
    if (number != cursor.pageNumber) {
      if (cursor.page.length == 0) {
        cursor.page = new byte[BLOCK];
      }
      try {
        blocks.read(full.get(index).number(), cursor.page);
        cursor.pageNumber = number;
      } catch (IOException e) {
        throw new UncheckedIOException("the output of an exec can't be read", e);
      }
    }
    return cursor.page;
  }

  /**
   * Lets a reader pass over what it has just written itself.
   *
   * @return false if it has yet to read something else first
   */
  boolean pass(Cursor cursor, List<ToldEvent> told) {
    lock.lock();
    try {
      long first = told.getFirst().seq();
      if (cursor.offset < 0 || cursor.seq != first || cursor.from > first) {
        return false;
      }
      cursor.seq = nextSeq;
      cursor.offset = length;
      cursor.over = exit != null;
      return true;
    } finally {
      lock.unlock();
    }
  }

  /** Waits until there is something to read or to write. */
  void await(Cursor cursor, Duration longest) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      long left = longest.toNanos();
      while (cursor.offset == length && exit == null && (written || wantToWrite > 0) && left > 0) {
        left = changed.awaitNanos(left);
      }
    } finally {
      lock.unlock();
    }
  }
}
