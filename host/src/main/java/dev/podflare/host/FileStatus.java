package dev.podflare.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** What statx(2) says about the file behind a descriptor. */
record FileStatus(long size) {

  private static final int AT_EMPTY_PATH = 0x1000;
  private static final int BASIC = 0x7ff;
  private static final int BYTES = 256;
  private static final long SIZE = 40;

  static FileStatus of(int descriptor) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment status = arena.allocate(BYTES, Long.BYTES);
      MemorySegment noName = arena.allocateFrom("");
      SystemCall.STATX.call(descriptor, noName.address(), AT_EMPTY_PATH, BASIC, status.address());
      return new FileStatus(status.get(ValueLayout.JAVA_LONG, SIZE));
    }
  }
}
