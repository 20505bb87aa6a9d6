package dev.podflare.cli.sandbox;

import dev.podflare.cli.text.InWords;
import dev.podflare.cli.text.Printable;
import dev.podflare.cli.text.Style;
import java.io.PrintWriter;
import java.time.Duration;

/** One line that tells how far a copy has come; on a terminal only. */
final class CopyProgress {

  private static final long EVERY_NANOS = Duration.ofMillis(100).toNanos();
  private static final String CLEAR_LINE = "\r\033[K";
  private static final int MAX_NAME = 40;

  private final PrintWriter to;
  private final boolean isShown;
  private long shownAt;
  private long bytes;
  private int files;

  private CopyProgress(PrintWriter to, boolean isShown) {
    this.to = to;
    this.isShown = isShown;
    this.shownAt = System.nanoTime();
  }

  static CopyProgress on(PrintWriter to) {
    return new CopyProgress(to, Style.isTerminal(2));
  }

  void file(String name) {
    files++;
    show(name);
  }

  void bytes(String name, long more) {
    bytes += more;
    show(name);
  }

  private void show(String name) {
    if (isShown && System.nanoTime() - shownAt > EVERY_NANOS) {
      shownAt = System.nanoTime();
      String end = name.length() > MAX_NAME ? "…" + name.substring(name.length() - MAX_NAME) : name;
      to.print(
          CLEAR_LINE
              + "%d files, %s  %s".formatted(files, InWords.bytes(bytes), Printable.line(end)));
      to.flush();
    }
  }

  void done() {
    if (isShown) {
      to.print(CLEAR_LINE);
      to.flush();
    }
  }
}
