package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Starts {@code podflare up} in a session of its own, and waits until it serves.
 *
 * <p>The child's standard output is a pipe to this process: it carries progress, and at last {@link
 * #SERVING}, after which the child writes nothing there any more, so it does not miss us when we
 * end. Its standard error, the log, goes to {@code server.log} in the data directory.
 */
final class DetachedServer {

  private static final String SERVING = "podflare: serving";
  private static final String PROGRESS = "podflare: ";
  private static final int TAIL = 2000;

  private DetachedServer() {}

  /** Said by a server, detached or not, as the last thing on its standard output. */
  static void sayServing(PrintWriter out) {
    out.println(SERVING);
    out.flush();
  }

  /**
   * @param arguments of this process, {@code --detach} among them
   * @throws CommandFailure if it did not come to serve, with what it said last
   */
  static void start(Path dataDirectory, List<String> arguments, Consumer<String> progress)
      throws CommandFailure {
    Path log = dataDirectory.resolve("server.log");
    try {
      Files.createDirectories(dataDirectory);
      long logBefore = Files.exists(log) ? Files.size(log) : 0;
      Process child =
          new ProcessBuilder(words(arguments))
              .redirectInput(new File("/dev/null"))
              .redirectError(ProcessBuilder.Redirect.appendTo(log.toFile()))
              .start();
      if (!forwardUntilServing(child, progress)) {
        throw new CommandFailure(
            "the server did not start. It said:\n" + tail(log, logBefore) + "\nMore is in " + log);
      }
    } catch (IOException e) {
      throw new CommandFailure("the server can't be started: " + e.getMessage(), e);
    }
  }

  /**
   * How this process was started, in a session of its own and without {@code --detach}.
   *
   * <p>Read from /proc and not from {@link ProcessHandle.Info#arguments}: that one is empty as soon
   * as the command line does not fit into one page, which is a matter of how long the path of the
   * checkout is.
   */
  private static List<String> words(List<String> arguments) throws CommandFailure, IOException {
    List<String> all =
        List.of(
            Files.readString(Path.of("/proc/self/cmdline"), StandardCharsets.UTF_8).split("\0"));
    int own = all.size() - arguments.size();
    if (own < 1) {
      throw new CommandFailure(
          "/proc/self/cmdline does not show how this was started. Start without --detach.");
    }
    List<String> words = new ArrayList<>(List.of("setsid"));
    words.addAll(all.subList(0, own));
    arguments.stream().filter(argument -> !argument.equals("--detach")).forEach(words::add);
    return words;
  }

  private static boolean forwardUntilServing(Process child, Consumer<String> progress)
      throws IOException {
    try (BufferedReader lines = child.inputReader(StandardCharsets.UTF_8)) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (line.equals(SERVING)) {
          return true;
        }
        if (line.startsWith(PROGRESS)) {
          progress.accept(line.substring(PROGRESS.length()));
        }
      }
    }
    return false;
  }

  private static String tail(Path log, long from) throws IOException {
    byte[] all = Files.readAllBytes(log);
    int start = (int) Math.max(from, all.length - TAIL);
    return new String(all, start, all.length - start, StandardCharsets.UTF_8).strip();
  }
}
