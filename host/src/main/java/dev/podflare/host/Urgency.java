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
import java.util.Set;
import java.util.function.Predicate;

/**
 * Lets threads of a process run before all others, while somebody waits for what they do: {@code
 * SCHED_FIFO} of sched(7).
 *
 * <p>A thread that wakes up takes the processor from one that computes only at the next tick, on
 * kernels with lazy preemption some milliseconds later. What needs ten turns of threads that wait
 * for each other is ten times as late, as soon as there is something else to compute. A thread that
 * is urgent gets the processor at once. It may keep it, too: only for code that is trusted.
 *
 * <p>Safe for use by many threads. What has ended meanwhile is no error.
 */
public final class Urgency {

  private static final int USUAL = 0;

  /** {@code SCHED_FIFO | SCHED_RESET_ON_FORK}: threads that it starts are usual ones. */
  private static final int URGENT = 1 | 0x40000000;

  private static final MethodHandle SET =
      CLibrary.function(
          "sched_setscheduler",
          FunctionDescriptor.of(
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT,
              ValueLayout.ADDRESS));

  private Urgency() {}

  /**
   * Makes the main thread of a process, and those of its others that have one of these names,
   * urgent until {@link #end}.
   *
   * @return whether the kernel allowed it for all of them; where it does not, nothing is lost but
   *     time
   * @throws IOException if the process's threads can't be listed
   */
  public static boolean begin(long pid, Set<String> others) throws IOException {
    return set(pid, thread -> isMain(thread, pid) || others.contains(name(thread)), URGENT, 1);
  }

  private static boolean isMain(Path thread, long pid) {
    return thread.endsWith(Long.toString(pid));
  }

  /**
   * Makes all threads of a process usual ones.
   *
   * @throws IOException if the process's threads can't be listed
   */
  public static void end(long pid) throws IOException {
    boolean _ = set(pid, _ -> true, USUAL, 0);
  }

  private static boolean set(long pid, Predicate<Path> chosen, int policy, int priority)
      throws IOException {
    boolean allowed = true;
    try (Arena arena = Arena.ofConfined();
        DirectoryStream<Path> threads =
            Files.newDirectoryStream(Path.of("/proc", Long.toString(pid), "task"))) {
      MemorySegment parameters = arena.allocateFrom(ValueLayout.JAVA_INT, priority);
      for (Path thread : threads) {
        if (chosen.test(thread)) {
          allowed &= set(Integer.parseInt(thread.getFileName().toString()), policy, parameters);
        }
      }
      return allowed;
    } catch (NoSuchFileException ended) {
      return true;
    } catch (DirectoryIteratorException e) {
      throw e.getCause();
    }
  }

  private static String name(Path thread) {
    try {
      return Files.readString(thread.resolve("comm")).strip();
    } catch (IOException ended) {
      return "";
    }
  }

  private static boolean set(int thread, int policy, MemorySegment parameters) {
    try {
      return (int) SET.invokeExact(thread, policy, parameters) == 0;
    } catch (Throwable impossible) {
      throw CLibrary.broken(impossible);
    }
  }
}
