package dev.podflare.host;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** What /proc says about memory, in bytes. */
public final class Memory {

  private Memory() {}

  /** All memory of the host. */
  public static long total() throws HostException {
    return field(Path.of("/proc/meminfo"), "MemTotal:");
  }

  /** Memory that could be used without swapping: {@code MemAvailable} of proc_meminfo(5). */
  public static long available() throws HostException {
    return field(Path.of("/proc/meminfo"), "MemAvailable:");
  }

  /** Memory of a process that it shares with nobody and that is not a clean page of a file. */
  public static long privateTo(long pid) throws HostException {
    return field(Path.of("/proc/" + pid + "/smaps_rollup"), "Private_Dirty:");
  }

  private static long field(Path file, String name) throws HostException {
    List<String> lines;
    try (Stream<String> all = Files.lines(file)) {
      lines = all.filter(line -> line.startsWith(name)).toList();
    } catch (IOException | java.io.UncheckedIOException e) {
      throw new HostException(file + " can't be read", e);
    }
    if (lines.isEmpty()) {
      throw new HostException(file + " has no " + name);
    }
    String kibibytes = lines.getFirst().substring(name.length()).replace("kB", "").strip();
    return Long.parseLong(kibibytes) * 1024;
  }
}
