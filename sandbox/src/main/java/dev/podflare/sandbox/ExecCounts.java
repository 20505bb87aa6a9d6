package dev.podflare.sandbox;

import java.util.Map;

/**
 * Execs since the start of the server, read by somebody or not.
 *
 * @param begun whose code went to a guest
 * @param ended of those, by the reason why; and of those that an earlier server began
 */
public record ExecCounts(long begun, Map<ExecEvent.Reason, Long> ended) {
  public ExecCounts {
    ended = Map.copyOf(ended);
  }
}
