package dev.podflare.mcp;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;

/** Why code ended other than by itself, in words for a model. docs/mcp.md shows the same table. */
enum Ending {
  TIMEOUT(
      "The code was interrupted",
      "It ran into its timeout_seconds.",
      "Run it in smaller steps, pass a larger timeout_seconds, or start it in the background with"
          + " run_bash (nohup COMMAND >/tmp/log 2>&1 &) and look at its log later."),
  NOT_RUN(
      "The code was not run",
      "Its timeout_seconds passed while it waited for other code of this sandbox.",
      "Wait until that code has ended, then call again; or fork the sandbox, and run it in the child."),
  INTERRUPTED(
      "The code was interrupted",
      "The call was cancelled, or somebody stopped it.",
      "Go on from what it has done so far, or run it again."),
  OOM(
      "The code was killed",
      "The sandbox ran out of memory.",
      "Work on less data at once, or call create_sandbox with a larger memory_mb."),
  KILLED(
      "The code was killed",
      "Its process or its machine was ended from outside, or did not stop when it was told.",
      "Run it again; if the sandbox does not answer, call destroy_sandbox and begin in a fresh one.");

  /** What is said beside it when the process did not survive. */
  static final String STATE_LOST =
      "The Python process is a new one: variables and imports are lost, files are still there.";

  private final String what;
  private final String why;
  private final String next;

  Ending(String what, String why, String next) {
    this.what = what;
    this.why = why;
    this.next = next;
  }

  static Optional<Ending> of(String reason) {
    return Arrays.stream(values())
        .filter(ending -> ending.name().equals(reason.toUpperCase(Locale.ROOT)))
        .findFirst();
  }

  String what() {
    return what;
  }

  String why() {
    return why;
  }

  String next() {
    return next;
  }

  String forModel() {
    return what + ".\nWhy: " + why + "\nTry next: " + next;
  }
}
