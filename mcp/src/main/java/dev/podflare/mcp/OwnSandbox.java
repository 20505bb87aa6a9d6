package dev.podflare.mcp;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;

/** What a connection's own sandbox is created with. */
final class OwnSandbox {

  /** The end of one that nobody has closed, because its client was killed. */
  private static final Duration LONGEST = Duration.ofDays(1);

  private OwnSandbox() {}

  /**
   * People leave conversations for hours and come back. So it is frozen to disk when it is idle,
   * and waked at the next call with all that it had.
   *
   * @param more what its user asks for beyond that
   */
  static Map<String, ?> wish(Map<String, ?> more) {
    Map<String, Object> wish = new LinkedHashMap<>();
    wish.put("persistent", true);
    wish.put("max_lifetime_seconds", LONGEST.toSeconds());
    wish.put("metadata", Map.of("made_by", "mcp"));
    wish.putAll(more);
    return wish;
  }
}
