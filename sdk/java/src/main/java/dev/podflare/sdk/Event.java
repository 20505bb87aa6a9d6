package dev.podflare.sdk;

import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Something that running code did. The last one is an {@link Exit}.
 *
 * {@snippet :
 * import dev.podflare.sdk.*;
 * import java.util.stream.Stream;
 *
 * try (Sandbox sb = Podflare.create();
 *     Stream<Event> events = sb.stream("print('hello'); 6 * 7")) {
 *   events.forEach(
 *       event -> {
 *         if (event instanceof Event.Stdout out) {
 *           System.out.print(out.text());
 *         } else if (event instanceof Event.Result result) {
 *           System.out.println("= " + result.value().text());
 *         }
 *       });
 * }
 * }
 */
public sealed interface Event {
  /** Counts from 0 in each exec. */
  long seq();

  /** When it came, by the host's clock. */
  Instant time();

  /**
   * Text on the standard output, as it was written.
   *
   * @param text not cut at lines
   */
  record Stdout(String text, long seq, Instant time) implements Event {}

  /**
   * Text on the standard error output, as it was written.
   *
   * @param text not cut at lines
   */
  record Stderr(String text, long seq, Instant time) implements Event {}

  /**
   * A value was shown.
   *
   * @param value what was shown
   */
  record Result(Shown value, long seq, Instant time) implements Event {}

  /**
   * An exception was not caught.
   *
   * @param error the exception
   */
  record Failed(ExecError error, long seq, Instant time) implements Event {}

  /**
   * The code has ended.
   *
   * @param code 0, or 1 after an exception, the code of a {@code SystemExit}, 124 after a time-out
   * @param reason why it ended
   * @param stateKept whether the Python process, and so its variables, survived
   * @param duration how long it ran
   */
  record Exit(
      int code, ExitReason reason, boolean stateKept, Duration duration, long seq, Instant time)
      implements Event {}

  /**
   * The code does not run yet; the first event of a call whose turn has not come.
   *
   * @param behind the id of the exec that runs; empty if a fork, a merge or a freeze has the turn
   */
  record Waiting(Optional<String> behind, long seq, Instant time) implements Event {}

  /**
   * Events that are not kept any more, in the stream of an exec that was attached to too late.
   *
   * @param from the first one that is lost
   * @param to the last one that is lost
   */
  record Gap(long from, long to, long seq, Instant time) implements Event {}

  /**
   * The event in one line of an answer; null for a type that this version does not know.
   *
   * @throws ServerException the line is no event
   */
  static @Nullable Event of(byte[] bytes, int offset, int length) {
    Fields fields = new Fields(Json.read(bytes, offset, length));
    long seq = fields.number("seq");
    Instant time = fields.instant("ts");
    return switch (fields.text("type")) {
      case "stdout" -> new Stdout(data(fields.optionalText("data")), seq, time);
      case "stderr" -> new Stderr(data(fields.optionalText("data")), seq, time);
      case "result" -> {
        data(fields.object("data"));
        Map<String, String> shown = fields.textByName("data");
        yield new Result(new Shown(shown), seq, time);
      }
      case "error" -> new Failed(ExecError.of(data(fields.object("data"))), seq, time);
      case "waiting" -> {
        Fields waiting = data(fields.object("data"));
        yield new Waiting(waiting.optionalText("behind"), seq, time);
      }
      case "gap" -> {
        Fields gap = data(fields.object("data"));
        yield new Gap(gap.number("from"), gap.number("to"), seq, time);
      }
      case "exit" -> {
        if (!fields.has("data")) {
          throw Failures.badAnswer("the server sent an exit event without a code", null);
        }
        yield new Exit(
            fields.count("data"),
            ExitReason.of(fields.text("reason")),
            fields.truth("state_kept", true), // A server that says nothing about it keeps it.
            Duration.ofMillis(fields.number("duration_ms")),
            seq,
            time);
      }
      default -> null;
    };
  }

  private static <T> T data(Optional<T> data) {
    return data.orElseThrow(
        () -> Failures.badAnswer("the server sent an event without its data", null));
  }
}
