package dev.podflare.sandbox;

import dev.podflare.guest.GuestException;
import dev.podflare.guest.GuestTerminal;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * A program on a terminal in a machine, with what it said last, and with its reader if it has one.
 *
 * <p>A thread of its own takes what the guest sends as it comes, so the program goes on whether or
 * not somebody reads. A reader that dawdles does stop it, a few KiB behind: so nothing is lost on
 * the way to him, and a Ctrl-C is soon seen to work.
 */
final class Terminal {

  private static final TerminalEvent.Exit MACHINE_ENDED =
      new TerminalEvent.Exit(137, Optional.of("killed"));

  /** How far the program may be ahead of its reader. Less than what always can be kept. */
  private static final int AHEAD = Scrollback.CHUNK * Scrollback.FREE_CHUNKS / 2;

  /** Most of what a reader is given at once. */
  private static final int AT_ONCE = 32 << 10;

  /** How long a program that has a whole window to read already may take nothing more. */
  private static final Duration INPUT_PATIENCE = Duration.ofSeconds(30);

  private final TerminalId id;
  private final String cmd;
  private final Instant createdAt;
  private final GuestTerminal guest;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Scrollback scrollback;
  private int cols;
  private int rows;
  private @Nullable Attachment reader;
  private TerminalEvent.@Nullable Exit exit;
  private boolean forgotten;

  Terminal(
      TerminalId id,
      String cmd,
      int cols,
      int rows,
      Instant createdAt,
      GuestTerminal guest,
      ScrollbackRoom room) {
    this.id = id;
    this.cmd = cmd;
    this.cols = cols;
    this.rows = rows;
    this.createdAt = createdAt;
    this.guest = guest;
    this.scrollback = new Scrollback(room);
  }

  TerminalId id() {
    return id;
  }

  /**
   * Lets it be heard.
   *
   * @param ended run once when its program has ended, or its machine
   */
  void begin(Runnable ended) {
    Thread.ofVirtual()
        .name("terminal-" + id)
        .start(() -> {
          try {
            takeAll();
          } finally {
            ended.run();
          }
        });
  }

  private void takeAll() {
    TerminalEvent.Exit end = MACHINE_ENDED;
    try {
      for (Optional<ByteBuffer> said = guest.next(); said.isPresent(); said = guest.next()) {
        keep(said.get());
      }
      end = new TerminalEvent.Exit(guest.exitCode(), Optional.empty());
    } catch (GuestException lost) {
      System.getLogger(Terminal.class.getName())
          .log(System.Logger.Level.DEBUG, "a terminal ended with its machine", lost);
    } catch (InterruptedException stopping) {
      Thread.currentThread().interrupt();
    } finally {
      end(end);
    }
  }

  private void keep(ByteBuffer said) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (said.hasRemaining()) {
        while (reader != null && scrollback.end() - reader.at >= AHEAD) {
          changed.await();
        }
        int step = Math.min(said.remaining(), AHEAD);
        if (!forgotten || reader != null) {
          scrollback.append(said.slice(said.position(), step));
        }
        said.position(said.position() + step);
        changed.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  private void end(TerminalEvent.Exit how) {
    lock.lock();
    try {
      exit = how;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Ends it: its reader still hears of that, and nobody can come to read it any more. */
  void kill() {
    guest.close();
    forget();
  }

  /** Keeps nothing any more for who might come to read it. */
  void forget() {
    lock.lock();
    try {
      forgotten = true;
      if (reader == null) {
        scrollback.clear();
      }
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  TerminalInfo info() {
    lock.lock();
    try {
      return new TerminalInfo(
          id,
          cmd,
          guest.pid(),
          cols,
          rows,
          createdAt,
          reader != null,
          exit == null ? OptionalInt.empty() : OptionalInt.of(exit.code()));
    } finally {
      lock.unlock();
    }
  }

  /**
   * Gives it a reader, in place of the one that it may have.
   *
   * @param attendance closed when that reader is
   * @throws SandboxException if it was killed meanwhile
   */
  TerminalStream attach(Sandbox.Attendance attendance) {
    lock.lock();
    try {
      if (forgotten) {
        throw Refusals.noTerminal();
      }
      Attachment attachment = new Attachment(scrollback.begin(), attendance);
      reader = attachment;
      changed.signalAll();
      return attachment;
    } finally {
      lock.unlock();
    }
  }

  /** Somebody who reads it, until somebody else does. */
  private final class Attachment implements TerminalStream {

    private final Sandbox.Attendance attendance;
    private long at;
    private boolean told;

    private Attachment(long at, Sandbox.Attendance attendance) {
      this.at = at;
      this.attendance = attendance;
    }

    @Override
    public TerminalInfo info() {
      return Terminal.this.info();
    }

    @Override
    public Optional<TerminalEvent> next(Duration longest) throws InterruptedException {
      long left = longest.toNanos();
      lock.lockInterruptibly();
      try {
        while (true) {
          Optional<TerminalEvent> event = here();
          if (event.isPresent() || told || left <= 0) {
            return event;
          }
          left = changed.awaitNanos(left);
        }
      } finally {
        lock.unlock();
      }
    }

    private Optional<TerminalEvent> here() {
      if (told) {
        return Optional.empty();
      }
      if (reader != this) {
        told = true;
        return Optional.of(new TerminalEvent.TakenOver());
      }
      if (at < scrollback.end()) {
        byte[] bytes = scrollback.read(at, AT_ONCE);
        at += bytes.length;
        changed.signalAll();
        return Optional.of(new TerminalEvent.Output(bytes));
      }
      told = exit != null;
      return Optional.ofNullable(exit);
    }

    @Override
    public boolean write(byte[] bytes) throws InterruptedException {
      try {
        return !isHeard() || guest.write(bytes, INPUT_PATIENCE) || !isHeard();
      } catch (GuestException lost) {
        return true; // The reader hears of it.
      }
    }

    private boolean isHeard() {
      lock.lock();
      try {
        return reader == this && exit == null;
      } finally {
        lock.unlock();
      }
    }

    @Override
    public void resize(int newCols, int newRows) {
      lock.lock();
      try {
        if (reader == this && exit == null && (newCols != cols || newRows != rows)) {
          cols = newCols;
          rows = newRows;
          guest.resize(newCols, newRows);
        }
      } finally {
        lock.unlock();
      }
    }

    @Override
    public void signal(TerminalSignal signal) {
      if (isHeard()) {
        guest.signal(signal.name());
      }
    }

    @Override
    public void close() {
      lock.lock();
      try {
        if (reader == this) {
          reader = null;
          if (forgotten) {
            scrollback.clear();
          }
          changed.signalAll();
        }
      } finally {
        lock.unlock();
      }
      attendance.close();
    }
  }
}
