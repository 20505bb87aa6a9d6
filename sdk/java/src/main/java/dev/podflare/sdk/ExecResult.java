package dev.podflare.sdk;

import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * What a run left.
 *
 * {@snippet :
 * import dev.podflare.sdk.*;
 *
 * try (Sandbox sb = Podflare.create()) {
 *   ExecResult r = sb.run("print('so far'); 1/0");
 *   System.out.println(r.stdout() + r.exitCode() + r.error().orElseThrow().name());
 * }
 * }
 *
 * @param stdout all the text, as it was written
 * @param stderr the same of the standard error output
 * @param exitCode 0, or 1 after an exception, the code of a {@code SystemExit}, 124 after a
 *     time-out
 * @param results every value that was shown, in order
 * @param error the exception that was not caught
 * @param stateKept whether the Python process, and so its variables, survived
 * @param reason why it ended
 * @param duration how long it ran
 */
public record ExecResult(
    String stdout,
    String stderr,
    int exitCode,
    List<Shown> results,
    Optional<ExecError> error,
    boolean stateKept,
    ExitReason reason,
    Duration duration) {
  public ExecResult {
    results = List.copyOf(results);
  }

  /** Whether the exit code is 0. */
  public boolean isOk() {
    return exitCode == 0;
  }

  /** {@link #result} as plain text: what a notebook would print for the last expression. */
  public Optional<String> text() {
    return result().map(Shown::text);
  }

  /** The last of {@link #results}: the value of the last expression, if it has one. */
  public Optional<Shown> result() {
    return results.isEmpty() ? Optional.empty() : Optional.of(results.get(results.size() - 1));
  }
}
