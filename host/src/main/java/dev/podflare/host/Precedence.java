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
import java.nio.file.StandardOpenOption;
import java.util.function.Predicate;
import java.util.function.ToIntFunction;

/**
 * Which of a process's threads go before the threads of all other processes, and which after them:
 * {@code SCHED_FIFO} and {@code SCHED_IDLE} of sched(7).
 *
 * <p>A thread that wakes up takes the processor from one that computes only at the next tick, on
 * kernels with lazy preemption some milliseconds later. What needs ten turns of threads that wait
 * for each other is ten times as late, as soon as there is something else to compute. A thread that
 * goes first gets the processor at once. It may keep it, too: only for code that is trusted. A
 * thread that goes last computes while no other wants to.
 *
 * <p>Safe for use by many threads. What has ended meanwhile is no error.
 */
public final class Precedence {

  private static final int USUAL = 0;

  /** {@code SCHED_FIFO | SCHED_RESET_ON_FORK}: threads that it starts are usual ones. */
  private static final int FIRST = 1 | 0x40000000;

  /** {@code SCHED_IDLE}. */
  private static final int LAST = 5;

  /** As nice(2) has it. */
  private static final int LEAST_OF_SESSION = 19;

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
   * Lets the main thread of a process, and those of its others that are chosen by their names, go
   * first until {@link #none}.
   *
   * @return whether the kernel allowed it for all of them; where it does not, nothing is lost but
   *     time
   * @throws IOException if the process's threads can't be listed
   */
  public static boolean first(long pid, Predicate<String> others) throws IOException {
    return set(pid, thread -> isMain(thread, pid) || others.test(name(thread)) ? FIRST : USUAL);
  }

  private static boolean isMain(Path thread, long pid) {
    return thread.endsWith(Long.toString(pid));
  }

  /**
   * Lets those threads of a process that are chosen by their names go last until {@link #none}, and
   * makes all others usual ones.
   *
   * @return as in {@link #first}
   * @throws IOException if the process's threads can't be listed
   */
  public static boolean last(long pid, Predicate<String> threads) throws IOException {
    boolean alone = setSession(pid, LEAST_OF_SESSION);
    return set(pid, thread -> threads.test(name(thread)) ? LAST : USUAL) && alone;
  }

  /**
   * Makes all threads of a process usual ones.
   *
   * @throws IOException if the process's threads can't be listed
   */
  public static void none(long pid) throws IOException {
    boolean _ = set(pid, _ -> USUAL);
    boolean _ = setSession(pid, 0);
  }

  /**
   * Where the kernel groups tasks by their sessions, what a thread is counts only among those of
   * its own session. "The autogroup feature" of sched(7).
   *
   * @return whether the kernel allowed it, or groups nothing
   */
  private static boolean setSession(long pid, int nice) {
    Path group = Path.of("/proc", Long.toString(pid), "autogroup");
    try {
      var _ = Files.writeString(group, Integer.toString(nice), StandardOpenOption.WRITE);
      return true;
    } catch (NoSuchFileException endedOrNotGrouped) {
      return true;
    } catch (IOException e) {
      return !Files.exists(group);
    }
  }

  private static boolean set(long pid, ToIntFunction<Path> policy) throws IOException {
    boolean allowed = true;
    try (Arena arena = Arena.ofConfined();
        DirectoryStream<Path> threads =
            Files.newDirectoryStream(Path.of("/proc", Long.toString(pid), "task"))) {
      MemorySegment parameters = arena.allocate(ValueLayout.JAVA_INT);
      for (Path thread : threads) {
        int chosen = policy.applyAsInt(thread);
        parameters.set(ValueLayout.JAVA_INT, 0, chosen == FIRST ? 1 : 0);
        allowed &= set(Integer.parseInt(thread.getFileName().toString()), chosen, parameters);
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
