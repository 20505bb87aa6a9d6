package dev.podflare.guest;

import java.time.Duration;
import java.util.Map;

/** Something that happened in an exec. The last one is always a {@link Closed}. */
public sealed interface GuestEvent {

  /** What wrote a piece of output. */
  enum Stream {
    STDOUT,
    STDERR
  }

  /** Why an exec ended. */
  enum Reason {
    OK,
    ERROR,
    TIMEOUT,
    INTERRUPTED,
    KILLED,
    OOM
  }

  /**
   * Text that was written. Bytes that are not UTF-8 are U+FFFD in it.
   *
   * @param text never empty
   */
  record Output(Stream stream, String text) implements GuestEvent {}

  /**
   * A value that is shown.
   *
   * @param representations text for each MIME type, binary types in base64
   */
  record Result(Map<String, String> representations) implements GuestEvent {
    public Result {
      representations = Map.copyOf(representations);
    }
  }

  /** An uncaught exception. */
  record Failure(String name, String value, String traceback) implements GuestEvent {}

  /**
   * The end. All of it is the guest's claim, but for the output that the host itself dropped.
   *
   * @param exitCode as a shell would say it
   * @param stateKept whether the Python process is still the one that it was
   * @param duration how long the code ran
   * @param dropped bytes of output that were thrown away because there was too much of it
   */
  record Closed(int exitCode, Reason reason, boolean stateKept, Duration duration, long dropped)
      implements GuestEvent {}
}
