package dev.podflare.worker;

import java.time.Duration;
import java.time.InstantSource;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Tells deliveries of the provider from those of others, and new ones from repeated ones. Any
 * number of threads may share one.
 */
final class WebhookDeliveries {
  /** What became of a delivery. */
  enum Verdict {
    NEW,
    /** The provider sent it before: it delivers at least once. */
    REPEATED,
    /** It is not signed with the key, or is too old. */
    REFUSED
  }

  /** Documented: older ones are refused. */
  private static final Duration WINDOW = Duration.ofMinutes(5);

  private static final int LONGEST_ID = 256;
  private static final int MOST_REMEMBERED = 4096;

  private final WebhookKey key;
  private final InstantSource clock;

  /** Ids that were seen; within the window there are never as many. */
  private final Map<String, Boolean> seen =
      new LinkedHashMap<>() {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
          return size() > MOST_REMEMBERED;
        }
      };

  WebhookDeliveries(WebhookKey key, InstantSource clock) {
    this.key = key;
    this.clock = clock;
  }

  Verdict judge(String id, String timestamp, String signatures, byte[] body) {
    if (id.isEmpty() || id.length() > LONGEST_ID || !timestamp.matches("[0-9]{1,12}")) {
      return Verdict.REFUSED;
    }
    long age = clock.instant().getEpochSecond() - Long.parseLong(timestamp);
    if (Math.abs(age) > WINDOW.toSeconds() || !key.hasSigned(id, timestamp, body, signatures)) {
      return Verdict.REFUSED;
    }
    synchronized (seen) {
      return seen.put(id, true) == null ? Verdict.NEW : Verdict.REPEATED;
    }
  }
}
