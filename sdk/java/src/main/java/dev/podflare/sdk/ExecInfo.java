package dev.podflare.sdk;

import java.time.Instant;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * What the server knows about an exec.
 *
 * @param id its id
 * @param language what its code is written in
 * @param background whether it runs beside the others
 * @param state how far it has come
 * @param code the first 200 characters of its code
 * @param createdAt when it was asked for
 * @param startedAt when it got its turn
 * @param endedAt when it ended
 * @param exitCode its exit code, once it has ended
 * @param reason why it ended
 * @param events how many events it had so far
 * @param firstSeq the oldest event that is kept
 */
public record ExecInfo(
    String id,
    Language language,
    boolean background,
    ExecState state,
    String code,
    Instant createdAt,
    Optional<Instant> startedAt,
    Optional<Instant> endedAt,
    OptionalInt exitCode,
    Optional<ExitReason> reason,
    long events,
    long firstSeq) {
  static ExecInfo of(Fields fields) {
    return new ExecInfo(
        fields.id("id"),
        Words.known(Language.class, fields.text("language"), Language.PYTHON),
        fields.truth("background", false),
        Words.known(ExecState.class, fields.text("state"), ExecState.UNKNOWN),
        fields.text("code"),
        fields.instant("created_at"),
        fields.optionalInstant("started_at"),
        fields.optionalInstant("ended_at"),
        fields.optionalCount("exit_code"),
        fields.optionalText("reason").map(ExitReason::of),
        fields.number("events"),
        fields.number("first_seq"));
  }
}
