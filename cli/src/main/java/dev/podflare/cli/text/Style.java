package dev.podflare.cli.text;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/** Colours by what a word means; none where nobody sees them. */
public final class Style {

  /** When there are colours. */
  public enum When {
    AUTO,
    ALWAYS,
    NEVER
  }

  private static final Style PLAIN = new Style(false);

  private final boolean isColoured;

  private Style(boolean isColoured) {
    this.isColoured = isColoured;
  }

  /** Without colours. */
  public static Style plain() {
    return PLAIN;
  }

  /** For standard output. */
  public static Style ofStandardOutput(When when) {
    return switch (when) {
      case ALWAYS -> new Style(true);
      case NEVER -> PLAIN;
      case AUTO -> new Style(isWanted() && isTerminal(1));
    };
  }

  private static boolean isWanted() {
    String noColour = System.getenv("NO_COLOR");
    return (noColour == null || noColour.isEmpty())
        && !"dumb".equals(System.getenv().getOrDefault("TERM", ""));
  }

  /**
   * Whether one of the standard streams is a terminal. Asked of the kernel, since the JDK's console
   * answers for standard input and output together.
   */
  public static boolean isTerminal(int descriptor) {
    try {
      String target = Files.readSymbolicLink(Path.of("/proc/self/fd/" + descriptor)).toString();
      return target.startsWith("/dev/pts/")
          || target.startsWith("/dev/tty")
          || target.equals("/dev/console");
    } catch (IOException | UnsupportedOperationException e) {
      return false;
    }
  }

  /** A word for a state: what works is green, what waits or sleeps is blue, what is lost is red. */
  public String state(String word) {
    return switch (word.toLowerCase(Locale.ROOT)) {
      case "ready", "running", "ok", "merged", "✔ merged", "attached" -> paint("32", word);
      case "frozen", "building", "queued", "note", "waiting" -> paint("33", word);
      case "lost", "failed", "missing", "killed", "oom", "timeout" -> paint("31", word);
      case "closed", "ended", "done" -> faint(word);
      default -> word.endsWith("timeout") || word.startsWith("server ") ? faint(word) : word;
    };
  }

  public String added(String text) {
    return paint("32", text);
  }

  public String removed(String text) {
    return paint("31", text);
  }

  public String modified(String text) {
    return paint("33", text);
  }

  public String bold(String text) {
    return paint("1", text);
  }

  public String faint(String text) {
    return paint("2", text);
  }

  private String paint(String code, String text) {
    return isColoured && !text.isEmpty() ? "\033[" + code + "m" + text + "\033[0m" : text;
  }
}
