package dev.podflare.host;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The one thread that waits for the ends of all {@linkplain WatchedProcess watched processes}, by
 * epoll(7). A pidfd is readable once its process has ended.
 */
final class ProcessWatch {

  private static final System.Logger LOG = System.getLogger(ProcessWatch.class.getName());
  private static final int EPOLL_CTL_ADD = 1;
  private static final int EPOLL_CTL_DEL = 2;
  private static final int EPOLL_CLOEXEC = 0x80000;
  private static final int EPOLLIN_ONESHOT = 1 | 1 << 30;

  /** {@code struct epoll_event}, which is packed: what happened, and the word that goes with it. */
  private static final int EVENT_BYTES = 12;

  private static final int WORD = 4;
  private static final int MOST_EVENTS = 64;

  private static final ProcessWatch ONLY = new ProcessWatch();

  private final Descriptor epoll;
  private final AtomicLong words = new AtomicLong();

  /** By a word that is used once, as the number of a descriptor is another's after a close. */
  private final Map<Long, Runnable> watched = new ConcurrentHashMap<>();

  private ProcessWatch() {
    try {
      epoll = new Descriptor(SystemCall.EPOLL_CREATE1.call(EPOLL_CLOEXEC));
    } catch (SystemCallException e) {
      throw new UncheckedIOException("ends of processes can't be waited for", e);
    }
    Thread.ofPlatform().name("process-watch").daemon().start(this::run);
  }

  /**
   * Has something done once, on the thread of all, when a process has ended.
   *
   * @param end must not wait
   * @return for {@link #forget}
   */
  static long await(int pidfd, Runnable end) throws IOException {
    return ONLY.add(pidfd, end);
  }

  /** Waits no longer for a process. What is done at its end may be going on at this moment. */
  static void forget(int pidfd, long word) throws IOException {
    ONLY.watched.remove(word);
    ONLY.control(EPOLL_CTL_DEL, pidfd, word);
  }

  private long add(int pidfd, Runnable end) throws IOException {
    long word = words.incrementAndGet();
    watched.put(word, end);
    try {
      control(EPOLL_CTL_ADD, pidfd, word);
      return word;
    } catch (IOException e) {
      watched.remove(word);
      throw e;
    }
  }

  private void control(int what, int pidfd, long word) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment event = arena.allocate(EVENT_BYTES, Integer.BYTES);
      event.set(ValueLayout.JAVA_INT, 0, EPOLLIN_ONESHOT);
      event.set(ValueLayout.JAVA_LONG_UNALIGNED, WORD, word);
      SystemCall.EPOLL_CTL.call(epoll.number(), what, pidfd, event.address());
    }
  }

  private void run() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment events = arena.allocate((long) MOST_EVENTS * EVENT_BYTES, Integer.BYTES);
      while (true) {
        long count = SystemCall.EPOLL_WAIT.call(epoll.number(), events.address(), MOST_EVENTS, -1);
        for (int i = 0; i < count; i++) {
          long at = (long) i * EVENT_BYTES + WORD;
          report(events.get(ValueLayout.JAVA_LONG_UNALIGNED, at));
        }
      }
    } catch (SystemCallException e) {
      throw new UncheckedIOException("ends of processes can't be waited for any more", e);
    }
  }

  private void report(long word) {
    Runnable end = watched.remove(word);
    if (end != null) {
      try {
        end.run();
      } catch (RuntimeException e) {
        // The others' ends must still be heard of.
        LOG.log(System.Logger.Level.ERROR, "the end of a process was not taken note of", e);
      }
    }
  }
}
