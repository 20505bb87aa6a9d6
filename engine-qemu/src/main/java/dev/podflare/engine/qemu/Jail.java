package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Starts a program through {@code podflare-jail}, whose source ({@code src/main/c/jail.c}) says
 * what holds inside. Immutable; each method gives a jail with one thing more.
 */
record Jail(Path executable, List<String> options) {

  private static final Duration PATIENCE = Duration.ofSeconds(20);

  static Jail by(Path executable) {
    return new Jail(executable, List.of());
  }

  private Jail with(String option, Object value) {
    List<String> more = new ArrayList<>(options);
    more.add(option);
    more.add(value.toString());
    return new Jail(executable, List.copyOf(more));
  }

  /** The first socket becomes descriptor 4 of the program, the next one 5. */
  Jail listeningOn(Path socket) {
    return with("--listen", socket);
  }

  /** The same, for messages that stay whole; both kinds are counted together. */
  Jail listeningForPackets(Path socket) {
    return with("--listen-packets", socket);
  }

  Jail inNetwork(Path namespace, String tap) {
    return with("--netns", namespace).with("--tap", tap);
  }

  Jail limitedBy(List<Path> procsFiles) {
    Jail jail = this;
    for (Path file : procsFiles) {
      jail = jail.with("--cgroup", file);
    }
    return jail;
  }

  Jail showing(Path source, String target) {
    return with("--readonly", source + ":" + target);
  }

  /** A directory with all that is in it, or a single file. */
  Jail showingWritable(Path source, String target) {
    return with("--writable", source + ":" + target);
  }

  Jail showingDevice(String device) {
    return with("--device", device);
  }

  Jail rootedAt(Path emptyDirectory) {
    return with("--root", emptyDirectory);
  }

  Jail asUser(int id) {
    return with("--uid", id);
  }

  /**
   * Leaves it the right to become any of these users, if the library that it is {@linkplain
   * #preloading preloading} limits it to them: the kernel itself would let it become root.
   */
  Jail changingUserWithin(int first, int count) {
    return with("--users", first + ":" + count);
  }

  /** No file that it writes, its log above all, gets larger than this. */
  Jail writingFilesOf(long mostBytes) {
    return with("--file-size", mostBytes);
  }

  Jail loggingTo(Path file) {
    return with("--log", file);
  }

  Jail preloading(String library) {
    return with("--preload", library);
  }

  /**
   * Starts the program and returns when its sockets listen.
   *
   * @return the process, which outlives this server
   */
  Process start(List<String> program) throws EngineException {
    List<String> words = new ArrayList<>();
    words.add(executable.toString());
    words.addAll(options);
    words.add("--");
    words.addAll(program);
    try {
      Process process = new ProcessBuilder(words).start();
      awaitReady(process);
      return process;
    } catch (IOException e) {
      throw new EngineException(
          EngineException.Kind.FAILED, "the jail " + executable + " can't be started", e);
    }
  }

  private static void awaitReady(Process process) throws IOException, EngineException {
    Thread watchdog = killIfLate(process);
    try (InputStream said = process.getInputStream();
        InputStream complaint = process.getErrorStream()) {
      String line = new String(said.readNBytes("ready\n".length()), StandardCharsets.UTF_8);
      if (!line.equals("ready\n")) {
        String why = new String(complaint.readNBytes(4096), StandardCharsets.UTF_8).strip();
        process.destroyForcibly();
        throw new EngineException(
            EngineException.Kind.FAILED,
            why.isEmpty() ? "the jail did not get ready in time" : why);
      }
    } finally {
      watchdog.interrupt();
    }
    process.getOutputStream().close();
  }

  private static Thread killIfLate(Process process) {
    return Thread.ofVirtual()
        .start(() -> {
          try {
            TimeUnit.MILLISECONDS.sleep(PATIENCE.toMillis());
            process.destroyForcibly();
          } catch (InterruptedException inTime) {
            Thread.currentThread().interrupt();
          }
        });
  }
}
