package dev.podflare.cli.text;

import java.time.Duration;
import java.util.Locale;

/** Quantities as people read them. */
public final class InWords {

  private InWords() {}

  /** Such as {@code 12 s} or {@code 3 h}. */
  public static String age(Duration duration) {
    long seconds = Math.max(0, duration.toSeconds());
    if (seconds < 120) {
      return seconds + " s";
    }
    if (seconds < 120 * 60) {
      return seconds / 60 + " min";
    }
    return seconds < 48 * 3600 ? seconds / 3600 + " h" : seconds / 86400 + " d";
  }

  /** Such as {@code 12 B} or {@code 24.9 MiB}. */
  public static String bytes(long bytes) {
    if (bytes < 1024) {
      return bytes + " B";
    }
    double shown = bytes;
    String unit = "B";
    for (String next : new String[] {"KiB", "MiB", "GiB", "TiB"}) {
      if (shown < 1024) {
        break;
      }
      shown /= 1024;
      unit = next;
    }
    return String.format(Locale.ROOT, "%.1f %s", shown, unit);
  }
}
