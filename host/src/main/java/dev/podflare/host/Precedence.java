package dev.podflare.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/**
 * Whether a process goes before others or after them: {@code SCHED_IDLE} of sched(7).
 *
 * <p>A process that goes last computes while no other wants to. Safe for use by many threads. What
 * has ended meanwhile is no error.
 */
public final class Precedence {

  private static final int USUAL = 0;

  /** {@code SCHED_IDLE}. */
  private static final int LAST = 5;

  private static final MethodHandle SET =
      CLibrary.function(
          "sched_setscheduler",
          FunctionDescriptor.of(
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT,
              ValueLayout.ADDRESS));

  private Precedence() {}

  /**
   * Lets all threads of a process go last until {@link #usual}, and those that they start.
   *
   * @throws IOException if the process's threads can't be listed
   */
  public static void last(long pid) throws IOException {
    set(pid, LAST);
  }

  /**
   * Makes all threads of a process usual ones.
   *
   * @throws IOException if the process's threads can't be listed
   */
  public static void usual(long pid) throws IOException {
    set(pid, USUAL);
  }

  private static void set(long pid, int policy) throws IOException {
    try (Arena arena = Arena.ofConfined();
        DirectoryStream<Path> threads =
            Files.newDirectoryStream(Path.of("/proc", Long.toString(pid), "task"))) {
      MemorySegment priority = arena.allocate(ValueLayout.JAVA_INT);
      for (Path thread : threads) {
        set(Integer.parseInt(thread.getFileName().toString()), policy, priority);
      }
    } catch (NoSuchFileException ended) {
      return;
    } catch (DirectoryIteratorException e) {
      throw e.getCause();
    }
  }

  /** Fails for a thread that has ended; both policies are allowed to root. */
  private static void set(int thread, int policy, MemorySegment priority) {
    try {
      int _ = (int) SET.invokeExact(thread, policy, priority);
    } catch (Throwable impossible) {
      throw CLibrary.broken(impossible);
    }
  }
}
