package dev.podflare.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;

/** The clock of a process's processor time: clock_getcpuclockid(3). */
final class ProcessClock {

  /** {@code CPUCLOCK_SCHED}: what the scheduler has counted, user and system time. */
  private static final long SCHEDULER = 2;

  private ProcessClock() {}

  static Duration read(long pid) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment time = arena.allocate(ValueLayout.JAVA_LONG, 2);
      SystemCall.CLOCK_GETTIME.call((~pid << 3) | SCHEDULER, time.address());
      return Duration.ofSeconds(
          time.getAtIndex(ValueLayout.JAVA_LONG, 0), time.getAtIndex(ValueLayout.JAVA_LONG, 1));
    }
  }
}
