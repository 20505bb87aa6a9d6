package dev.podflare.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;

/** A wait for one descriptor, on a platform thread. */
final class Poll {

  private static final short POLLIN = 1;
  private static final int BYTES = 8;

  private final long deadline;

  private Poll(long deadline) {
    this.deadline = deadline;
  }

  /** Begins now. */
  static Poll within(Duration patience) {
    return new Poll(System.nanoTime() + patience.toNanos());
  }

  /** Waits until there is something to read or accept, an end or an error included. */
  boolean untilReadable(int descriptor) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment wanted = arena.allocate(BYTES, Integer.BYTES);
      wanted.set(ValueLayout.JAVA_INT, 0, descriptor);
      wanted.set(ValueLayout.JAVA_SHORT, 4, POLLIN);
      while (true) {
        try {
          return SystemCall.POLL.callOnce(wanted.address(), 1, millisecondsLeft()) > 0;
        } catch (SystemCallException e) {
          if (e.errno() != Errno.EINTR) {
            throw e;
          }
        }
      }
    }
  }

  private long millisecondsLeft() {
    long nanoseconds = Math.max(0, deadline - System.nanoTime());
    return Math.min(Integer.MAX_VALUE, (nanoseconds + 999_999) / 1_000_000);
  }
}
