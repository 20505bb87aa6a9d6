package dev.podflare.host;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * A process that can be told from a later one of the same id.
 *
 * @param pid the process id, which the kernel uses again
 * @param startTicks when it started, in clock ticks since the host's boot: field 22 of
 *     proc_pid_stat(5)
 * @param bootId which boot of the host that was, because ticks start anew with each
 */
public record ProcessIdentity(long pid, long startTicks, String bootId) {

  private static final int START_TIME_AFTER_NAME = 19;

  /** The process that has this id now; empty if there is none. */
  public static Optional<ProcessIdentity> of(long pid) {
    return read(pid, false);
  }

  /** As {@link #of}, for one that has ended as well, until it is reaped. */
  static Optional<ProcessIdentity> ofUnreaped(long pid) {
    return read(pid, true);
  }

  private static Optional<ProcessIdentity> read(long pid, boolean zombies) {
    try {
      String stat =
          Files.readString(Path.of("/proc/" + pid + "/stat"), StandardCharsets.ISO_8859_1);
      // The name is in brackets and may hold brackets and spaces itself: count from the last one.
      String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
      if (fields[0].equals("Z") && !zombies) {
        return Optional.empty();
      }
      long ticks = Long.parseLong(fields[START_TIME_AFTER_NAME]);
      return Optional.of(new ProcessIdentity(pid, ticks, currentBoot()));
    } catch (NoSuchFileException gone) {
      return Optional.empty();
    } catch (IOException goneWhileReading) {
      return Optional.empty();
    }
  }

  /** Whether it still runs. A zombie does not. */
  public boolean isAlive() {
    return of(pid).filter(this::equals).isPresent();
  }

  /** Its handle, if it still runs. */
  public Optional<ProcessHandle> handle() {
    return isAlive() ? ProcessHandle.of(pid) : Optional.empty();
  }

  private static String currentBoot() throws IOException {
    return Files.readString(Path.of("/proc/sys/kernel/random/boot_id")).strip();
  }
}
