package dev.podflare.sdk;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Gathers the events of one exec into its result. */
final class Transcript {
  private final StringBuilder stdout = new StringBuilder();
  private final StringBuilder stderr = new StringBuilder();
  private final List<Shown> results = new ArrayList<>();
  private @Nullable ExecError error;
  private Event.@Nullable Exit exit;

  void add(Event event) {
    if (event instanceof Event.Stdout out) {
      stdout.append(out.text());
    } else if (event instanceof Event.Stderr err) {
      stderr.append(err.text());
    } else if (event instanceof Event.Result result) {
      results.add(result.value());
    } else if (event instanceof Event.Failed failed) {
      error = failed.error();
    } else if (event instanceof Event.Gap gap) {
      // Whoever reads the text must not take it for all that there was.
      stderr
          .append("\n[the output's events ")
          .append(gap.from())
          .append(" to ")
          .append(gap.to())
          .append(" are not kept any more]\n");
    } else if (event instanceof Event.Exit last) {
      exit = last;
    }
  }

  ExecResult result() {
    if (exit == null) {
      throw Failures.outcomeUnknown("the answer has no exit event", null);
    }
    return new ExecResult(
        stdout.toString(),
        stderr.toString(),
        exit.code(),
        results,
        Optional.ofNullable(error),
        exit.stateKept(),
        exit.reason(),
        exit.duration());
  }
}
