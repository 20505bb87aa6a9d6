package dev.podflare.sdk.tools;

import dev.podflare.sdk.ExecResult;
import dev.podflare.sdk.ExitReason;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The outcome of code, as a model is told it. */
final class Outcome {
  static final String SILENT = "(it ran to its end and printed nothing)";
  static final String STATE_LOST =
      "[the Python process ended: its variables and imports are gone, files are still there. Import"
          + " and define again what you need]";
  static final String QUEUED =
      "[not run: its time limit passed while it waited for other code of this sandbox. Wait until"
          + " that has ended, then call again]";
  static final Map<ExitReason, String> REASONS = reasons();

  private Outcome() {}

  /** As plain text: what it printed, then its result, then how it ended. */
  static ToolAnswer plain(ExecResult result, int limit) {
    Pictures pictures = Pictures.of(result);
    List<String> parts = new ArrayList<>();
    if (!result.stdout().isEmpty()) {
      parts.add(Texts.withoutNewlinesAtTheEnd(Texts.screen(result.stdout())));
    }
    if (!result.stderr().isEmpty()) {
      parts.add("stderr:\n" + Texts.withoutNewlinesAtTheEnd(Texts.screen(result.stderr())));
    }
    result.results().stream()
        .filter(shown -> !Pictures.is(shown))
        .map(shown -> Texts.withoutNewlinesAtTheEnd(Texts.screen(shown.text())))
        .filter(text -> !text.isEmpty())
        .forEach(parts::add);
    String text = Texts.cut(Texts.clean(String.join("\n", parts)), limit);
    List<String> told = new ArrayList<>();
    if (!text.isEmpty()) {
      told.add(text);
    }
    told.addAll(pictures.notes());
    told.addAll(remarks(result));
    if (!result.isOk()) {
      told.add("exit code: " + result.exitCode());
    }
    if (told.isEmpty()) {
      told.add(pictures.images().isEmpty() ? SILENT : "(see the picture)");
    }
    return ToolAnswer.told(String.join("\n", told), !result.isOk(), pictures.images());
  }

  /** In the form of the hosted service's code execution helper, whole. */
  static ToolAnswer exact(ExecResult result) {
    return ToolAnswer.told(
        exactly(result, Texts.screen(result.stdout()), Texts.screen(result.stderr())),
        !result.isOk());
  }

  /** In the same form, cut. */
  static String exactly(ExecResult result, int limit) {
    return exactly(
        result,
        Texts.cut(Texts.clean(Texts.screen(result.stdout())), limit),
        Texts.cut(Texts.clean(Texts.screen(result.stderr())), limit));
  }

  private static String exactly(ExecResult result, String stdout, String stderr) {
    // Else the model would go on using variables that no longer exist.
    String lost = result.stateKept() ? "" : "\n" + STATE_LOST;
    // Else 124 is all that says it.
    String late = result.reason() == ExitReason.TIMEOUT ? "\n" + reason(result) : "";
    return "stdout:\n"
        + stdout
        + "\nstderr:\n"
        + stderr
        + lost
        + late
        + "\nexit_code: "
        + result.exitCode();
  }

  /** What else the model has to know about how it ended. */
  private static List<String> remarks(ExecResult result) {
    List<String> said = new ArrayList<>();
    String reason = reason(result);
    if (reason != null) {
      said.add(reason);
    }
    if (!result.stateKept()) {
      said.add(STATE_LOST);
    }
    return said;
  }

  private static @Nullable String reason(ExecResult result) {
    boolean neverRan =
        result.error().filter(error -> error.name().equals("QueuedTooLong")).isPresent();
    return neverRan ? QUEUED : REASONS.get(result.reason());
  }

  private static Map<ExitReason, String> reasons() {
    Map<ExitReason, String> told = new EnumMap<>(ExitReason.class);
    told.put(
        ExitReason.TIMEOUT,
        "[stopped at its time limit; what it did so far is kept. Do less at once, or start it in"
            + " the background with its output in a file and look at that later]");
    told.put(
        ExitReason.INTERRUPTED,
        "[interrupted from outside; what it did so far is kept. Go on only if the task still asks"
            + " for it]");
    told.put(
        ExitReason.OOM,
        "[ended because the sandbox has no more memory. Work on the data in pieces, and delete what"
            + " is no longer needed]");
    told.put(
        ExitReason.KILLED,
        "[its process was killed. If it did not do that itself, run it again once, with less to"
            + " do]");
    return told;
  }
}
