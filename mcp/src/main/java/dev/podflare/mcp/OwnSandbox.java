package dev.podflare.mcp;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;

/** What a sandbox is created with that a client uses without having named it. */
final class OwnSandbox {

  /** The end of one that nobody has closed, because its client was killed or has none to close. */
  private static final Duration LONGEST = Duration.ofDays(1);

  private static final String MARK = "made_by";
  private static final String SESSION = "mcp";
  private static final String STATELESS = "mcp-stateless";

  private OwnSandbox() {}

  /**
   * People leave conversations for hours and come back. So it is frozen to disk when it is idle,
   * and resumed at the next call with all that it had.
   *
   * @param more what its user asks for beyond that
   */
  static Map<String, ?> ofSession(Map<String, ?> more) {
    return options(SESSION, more);
  }

  /** The same for a client that keeps no session. */
  static Map<String, ?> ofStatelessCall(Map<String, ?> more) {
    return options(STATELESS, more);
  }

  /** What a sandbox is marked with that a client without a session made by name. */
  static Map<String, String> statelessMarks() {
    return Map.of(MARK, STATELESS);
  }

  static boolean isOfStatelessCall(Map<String, String> marks) {
    return STATELESS.equals(marks.get(MARK));
  }

  private static Map<String, ?> options(String maker, Map<String, ?> more) {
    Map<String, Object> options = new LinkedHashMap<>();
    options.put("persistent", true);
    options.put("max_lifetime_seconds", LONGEST.toSeconds());
    options.put("metadata", Map.of(MARK, maker));
    options.putAll(more);
    return options;
  }
}
