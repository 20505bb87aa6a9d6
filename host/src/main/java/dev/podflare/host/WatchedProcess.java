package dev.podflare.host;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.NoSuchFileException;
import java.time.Duration;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * A process that this one did not start by Java's own classes, held by a pidfd: a later process of
 * the same id is never taken for it. Its end is reported by the kernel, at once and without
 * polling.
 *
 * <p>What the kernel keeps for this is given back when the process ends. Close one only to lose
 * interest in it earlier. Safe for use by many threads; no call waits.
 */
public final class WatchedProcess implements AutoCloseable {

  private static final int SIGKILL = 9;
  private static final int P_PIDFD = 3;
  private static final int WEXITED = 4;
  private static final int WALL = 0x40000000;
  private static final int SIGINFO_BYTES = 128;
  private static final int SIGINFO_CODE = 8;
  private static final int SIGINFO_STATUS = 24;
  private static final int CLD_EXITED = 1;

  /** As a shell and Java have it: the code of a process that a signal has ended. */
  private static final int SIGNAL_BASE = 128;

  private final ProcessIdentity identity;
  private final boolean child;
  private final CompletableFuture<OptionalInt> ended = new CompletableFuture<>();
  private Duration cpuTime = Duration.ZERO;

  /** Null once it has ended, or this is closed. */
  private @Nullable Descriptor pidfd;

  private long watch;

  private WatchedProcess(ProcessIdentity identity, boolean child, Descriptor pidfd) {
    this.identity = identity;
    this.child = child;
    this.pidfd = pidfd;
  }

  /**
   * Watches a child of this process that Java's classes know nothing of, such as one that another
   * child has made beside itself (CLONE_PARENT of clone(2)). It is reaped when it ends, even if
   * this is closed before. Not for what {@link ProcessBuilder} has started: Java reaps that itself.
   * What turns out to be no child, as its former parent was an earlier server, is treated as {@link
   * #other}.
   *
   * @param pid as the kernel has named it; it may have ended already, as it is not reaped yet
   * @throws NoSuchFileException if there is no such process
   * @throws IOException if the kernel refuses
   */
  public static WatchedProcess child(long pid) throws IOException {
    return watch(pid, true);
  }

  /**
   * Watches a process that somebody else reaps.
   *
   * @throws NoSuchFileException if there is no such process
   * @throws IOException if the kernel refuses
   */
  public static WatchedProcess other(long pid) throws IOException {
    return watch(pid, false);
  }

  /**
   * Watches a process that somebody else reaps, if it is still this one.
   *
   * @throws NoSuchFileException if it has ended, whoever has its id by now
   * @throws IOException if the kernel refuses
   */
  public static WatchedProcess other(ProcessIdentity known) throws IOException {
    WatchedProcess found = watch(known.pid(), false);
    if (!found.identity.equals(known)) {
      found.close();
      throw gone(known.pid());
    }
    return found;
  }

  private static WatchedProcess watch(long pid, boolean child) throws IOException {
    Descriptor pidfd = open(pid);
    try {
      // Of this very process, if that has not ended and been reaped since: then it is of no use.
      ProcessIdentity identity =
          ProcessIdentity.ofUnreaped(pid)
              .orElseThrow(() -> new NoSuchFileException("/proc/" + pid));
      WatchedProcess process = new WatchedProcess(identity, child, pidfd);
      process.begin(pidfd);
      return process;
    } catch (IOException | RuntimeException e) {
      pidfd.close();
      throw e;
    }
  }

  private static Descriptor open(long pid) throws IOException {
    try {
      return new Descriptor(SystemCall.PIDFD_OPEN.call(pid, 0));
    } catch (SystemCallException e) {
      throw e.errno() == Errno.ESRCH ? gone(pid) : e;
    }
  }

  private static NoSuchFileException gone(long pid) {
    return new NoSuchFileException("/proc/" + pid, null, "the process has ended");
  }

  private synchronized void begin(Descriptor opened) throws IOException {
    watch = ProcessWatch.await(opened.number(), this::end);
  }

  /** Which process this is. */
  public ProcessIdentity identity() {
    return identity;
  }

  /**
   * Completed when the process has ended; what depends on it runs on a virtual thread. The exit
   * code is known of children only: 128 and the signal's number if a signal has ended it. Cancelled
   * if this is closed before, unless it is a child.
   */
  public CompletableFuture<OptionalInt> ended() {
    return ended.copy();
  }

  /** Whether it still runs: not if it has ended, even if nobody has reaped it yet. */
  public synchronized boolean isAlive() throws IOException {
    return pidfd != null && !Poll.within(Duration.ZERO).untilReadable(pidfd.number());
  }

  /** Ends it, with all its threads. Does nothing if it has ended. */
  public synchronized void kill() throws IOException {
    if (pidfd != null) {
      try {
        SystemCall.PIDFD_SEND_SIGNAL.call(pidfd.number(), SIGKILL, 0, 0);
      } catch (SystemCallException e) {
        if (e.errno() != Errno.ESRCH) {
          throw e;
        }
      }
    }
  }

  /**
   * The processor time that all its threads have used so far, those that have ended included. One
   * call of the kernel. After the end of a process: of a child all it has used, of another what was
   * known when this was asked last.
   */
  public synchronized Duration cpuTime() throws IOException {
    if (isAlive()) {
      Duration now = ProcessClock.read(identity.pid());
      if (isAlive()) { // Else it may have been another one's.
        cpuTime = now;
      }
    }
    return cpuTime;
  }

  private synchronized void end() {
    try {
      if (pidfd == null) {
        return;
      }
      OptionalInt code = child ? reap(pidfd) : OptionalInt.empty();
      pidfd.close();
      pidfd = null;
      Thread.ofVirtual().name("process-ended").start(() -> ended.complete(code));
    } catch (IOException e) {
      throw new UncheckedIOException("the end of process " + identity.pid() + " is unclear", e);
    }
  }

  private OptionalInt reap(Descriptor ended) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment info = arena.allocate(SIGINFO_BYTES, Long.BYTES);
      cpuTime = ProcessClock.read(identity.pid());
      SystemCall.WAITID.call(P_PIDFD, ended.number(), info.address(), WEXITED | WALL, 0);
      int status = info.get(ValueLayout.JAVA_INT, SIGINFO_STATUS);
      boolean exited = info.get(ValueLayout.JAVA_INT, SIGINFO_CODE) == CLD_EXITED;
      return OptionalInt.of(exited ? status : SIGNAL_BASE + status);
    } catch (SystemCallException e) {
      if (e.errno() == Errno.ECHILD || e.errno() == Errno.EINVAL) {
        return OptionalInt.empty(); // No child, and reaped by its parent.
      }
      throw e;
    }
  }

  /** Loses interest in it; it runs on. Does nothing if it has ended, or is a child. */
  @Override
  public synchronized void close() throws IOException {
    if (pidfd != null && !child) {
      ProcessWatch.forget(pidfd.number(), watch);
      pidfd.close();
      pidfd = null;
      ended.cancel(false);
    }
  }
}
