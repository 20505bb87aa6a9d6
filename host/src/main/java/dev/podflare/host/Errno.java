package dev.podflare.host;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** Why system calls fail: numbers of errno(3) that this module treats in a way of their own. */
final class Errno {

  static final int ENOENT = 2;
  static final int ESRCH = 3;
  static final int EINTR = 4;
  static final int ENXIO = 6;
  static final int ECHILD = 10;
  static final int EAGAIN = 11;
  static final int EEXIST = 17;
  static final int EXDEV = 18;
  static final int EINVAL = 22;
  static final int EPIPE = 32;
  static final int ENOSYS = 38;
  static final int ELOOP = 40;
  static final int EOPNOTSUPP = 95;
  static final int ECONNRESET = 104;
  static final int ENOBUFS = 105;

  private static final int LONGEST_TEXT = 256;
  private static final MethodHandle STRERROR =
      CLibrary.function(
          "strerror", FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.JAVA_INT));

  private Errno() {}

  /** The C library's words for it. */
  @SuppressWarnings("restricted")
  static String text(int errno) {
    try {
      MemorySegment text = (MemorySegment) STRERROR.invokeExact(errno);
      return text.reinterpret(LONGEST_TEXT).getString(0);
    } catch (Throwable impossible) {
      throw CLibrary.broken(impossible);
    }
  }
}
