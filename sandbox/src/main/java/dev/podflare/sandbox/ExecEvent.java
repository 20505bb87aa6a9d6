package dev.podflare.sandbox;

import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/** Something that happened in an exec. The last one is always an {@link Exit}. */
public sealed interface ExecEvent {

  /** Text that the code wrote to its standard output. */
  record Stdout(String text) implements ExecEvent {}

  /** Text that the code wrote to its standard error. */
  record Stderr(String text) implements ExecEvent {}

  /** A value that is shown: text for each MIME type, binary types in base64. */
  record Result(Map<String, String> bundle) implements ExecEvent {
    public Result {
      bundle = Map.copyOf(bundle);
    }
  }

  /** An uncaught exception. */
  record Failure(String name, String value, String traceback) implements ExecEvent {}

  /**
   * The end.
   *
   * @param code the exit code, as a shell would say it
   * @param stateKept whether the Python process is still the one that it was
   * @param duration how long the code ran
   */
  record Exit(int code, Reason reason, boolean stateKept, Duration duration) implements ExecEvent {}

  /**
   * The exec has not begun: it waits for its turn.
   *
   * @param behind the exec that has the turn; empty if a fork, a merge or a freeze has it
   */
  record Waiting(Optional<ExecId> behind) implements ExecEvent {}

  /**
   * Events that are not kept any more stand where this does.
   *
   * @param from the number of the first one that is lost
   * @param to the number of the last one
   */
  record Gap(long from, long to) implements ExecEvent {}

  /** Why an exec ended. */
  enum Reason {
    OK,
    ERROR,
    TIMEOUT,
    INTERRUPTED,
    KILLED,
    OOM
  }
}
