package dev.podflare.sandbox;

import java.time.Instant;
import java.util.Optional;

/**
 * What is known of an exec.
 *
 * @param code its first {@link #MOST_CODE} characters
 * @param startedAt when its code went to the guest
 * @param exit how it ended
 * @param events how many have been told so far; the next one has this number
 * @param firstSeq the number of the oldest event that is kept
 */
public record ExecInfo(
    ExecId id,
    ExecRequest.Language language,
    boolean background,
    State state,
    String code,
    Instant createdAt,
    Optional<Instant> startedAt,
    Optional<Instant> endedAt,
    Optional<ExecEvent.Exit> exit,
    long events,
    long firstSeq) {

  /** How many characters of the code are told. */
  public static final int MOST_CODE = 200;

  /** What an exec is in. */
  public enum State {
    /** It waits for its turn. */
    QUEUED,
    RUNNING,
    ENDED
  }
}
