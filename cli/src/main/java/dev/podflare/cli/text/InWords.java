package dev.podflare.cli.text;

import java.time.Duration;
import java.time.Instant;
import java.util.Locale;
import tools.jackson.databind.JsonNode;

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

  /**
   * How long a sandbox has until it is closed or freezes; empty while it is in use, asleep or lost.
   */
  public static String timeLeft(JsonNode sandbox, Instant now) {
    Instant used = Instant.ofEpochMilli(sandbox.path("last_used_at").asLong());
    Instant end = used.plus(seconds(sandbox.path("idle_timeout_seconds")));
    boolean isIdle = sandbox.path("state").asString("").equals("ready");
    JsonNode lifetime = sandbox.path("max_lifetime_seconds");
    if (lifetime.isNumber()) {
      Instant last =
          Instant.ofEpochMilli(sandbox.path("created_at").asLong()).plus(seconds(lifetime));
      end = !isIdle || last.isBefore(end) ? last : end;
    } else if (!isIdle) {
      return "";
    }
    return age(Duration.between(now, end));
  }

  private static Duration seconds(JsonNode number) {
    return Duration.ofMillis(Math.round(number.asDouble() * 1000));
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
