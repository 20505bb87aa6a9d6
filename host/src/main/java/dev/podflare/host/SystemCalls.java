package dev.podflare.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/** The few calls of the C library that Java has no class for, on one file opened for reading. */
final class SystemCalls implements AutoCloseable {

  private static final int READ_ONLY_CLOSE_ON_EXEC = 0x80000;

  private static final MethodHandle OPEN =
      CLibrary.function(
          "open",
          FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_INT),
          Linker.Option.firstVariadicArg(2));
  private static final MethodHandle SEEK =
      CLibrary.function(
          "lseek",
          FunctionDescriptor.of(
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_INT));
  private static final MethodHandle IOCTL =
      CLibrary.function(
          "ioctl",
          FunctionDescriptor.of(
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_LONG,
              ValueLayout.ADDRESS),
          Linker.Option.firstVariadicArg(2));
  private static final MethodHandle CLOSE =
      CLibrary.function("close", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));

  private final int fd;

  private SystemCalls(int fd) {
    this.fd = fd;
  }

  static SystemCalls on(Path file) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      int fd = (int) OPEN.invokeExact(arena.allocateFrom(file.toString()), READ_ONLY_CLOSE_ON_EXEC);
      if (fd < 0) {
        throw new IOException(file + " can't be opened");
      }
      return new SystemCalls(fd);
    } catch (IOException | RuntimeException | Error e) {
      throw e;
    } catch (Throwable impossible) {
      throw CLibrary.broken(impossible);
    }
  }

  /** See lseek(2); negative if it failed. */
  long seek(long offset, int whence) {
    try {
      return (long) SEEK.invokeExact(fd, offset, whence);
    } catch (Throwable impossible) {
      throw CLibrary.broken(impossible);
    }
  }

  /** See ioctl(2); negative if it failed. */
  int control(long request, MemorySegment argument) {
    try {
      return (int) IOCTL.invokeExact(fd, request, argument);
    } catch (Throwable impossible) {
      throw CLibrary.broken(impossible);
    }
  }

  @Override
  public void close() {
    try {
      int _ = (int) CLOSE.invokeExact(fd);
    } catch (Throwable impossible) {
      throw CLibrary.broken(impossible);
    }
  }
}
