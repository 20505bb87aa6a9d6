package dev.podflare.host;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A {@code struct msghdr} of recvmsg(2) and sendmsg(2), with one piece of content. */
final class MessageHeader {

  private static final long BYTES = 56;
  private static final long VECTOR = 16;
  private static final long VECTOR_LENGTH = 24;
  private static final long CONTROL = 32;
  private static final long CONTROL_LENGTH = 40;
  private static final long FLAGS = 48;

  private MessageHeader() {}

  static MemorySegment allocate(MemorySegment content, MemorySegment control, Arena arena) {
    MemorySegment vector =
        arena.allocateFrom(ValueLayout.JAVA_LONG, content.address(), content.byteSize());
    MemorySegment header = arena.allocate(BYTES, Long.BYTES);
    header.set(ValueLayout.JAVA_LONG, VECTOR, vector.address());
    header.set(ValueLayout.JAVA_LONG, VECTOR_LENGTH, 1);
    header.set(ValueLayout.JAVA_LONG, CONTROL, control.address());
    header.set(ValueLayout.JAVA_LONG, CONTROL_LENGTH, control.byteSize());
    return header;
  }

  /** How much of its room the kernel has filled with what comes beside the content. */
  static long controlLength(MemorySegment header) {
    return header.get(ValueLayout.JAVA_LONG, CONTROL_LENGTH);
  }

  static int flags(MemorySegment header) {
    return header.get(ValueLayout.JAVA_INT, FLAGS);
  }
}
