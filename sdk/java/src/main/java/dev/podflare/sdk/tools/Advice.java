package dev.podflare.sdk.tools;

import dev.podflare.sdk.AuthenticationException;
import dev.podflare.sdk.CapacityException;
import dev.podflare.sdk.ConflictException;
import dev.podflare.sdk.ConnectionException;
import dev.podflare.sdk.InvalidRequestException;
import dev.podflare.sdk.NotFoundException;
import dev.podflare.sdk.PodflareException;
import dev.podflare.sdk.QuotaException;
import dev.podflare.sdk.RequestTimeoutException;
import dev.podflare.sdk.ServerException;
import java.util.Map;

/**
 * What an error of the sandbox means for a model: what happened, why, as far as that does not say
 * it, and what to try. {@code docs/errors-for-models.md} is the table of it, and a test compares.
 */
final class Advice {
  private static final String GONE =
      "Its files and variables are gone. Don't call this tool again; say that the work needs a new"
          + " sandbox.";
  private static final String IN_PARTS =
      "Write large data to a file in several calls, and read it from the code.";
  private static final String ONCE_MORE =
      "Try once more; if it fails again, go on without it and say so.";

  static final Map<String, String> BY_CODE =
      Map.ofEntries(
          Map.entry(
              "sandbox_not_found",
              "It was closed, or idle for too long, and its files and variables are gone. Don't"
                  + " call this tool again; say that the work needs a new sandbox."),
          Map.entry("sandbox_lost", GONE),
          Map.entry("sandbox_busy", "Other code still runs in it. Wait for that, then try again."),
          Map.entry(
              "unreachable",
              "Calling again at once does not help. Go on without running code, and say that it"
                  + " could not be run."),
          Map.entry(
              "outcome_unknown",
              "It may have run in part. Look at its effects, at files and variables, before you run"
                  + " it again."),
          Map.entry("cut_off", ONCE_MORE),
          Map.entry("no_answer", "The machine is overloaded. Try once more, with less to do."),
          Map.entry("body_too_large", IN_PARTS),
          Map.entry("too_large", IN_PARTS),
          Map.entry("disk_full", "Remove files that are not needed any more, then try again."),
          Map.entry(
              "file_not_found",
              "List the directory to see what is there, and mind that a relative path begins at"
                  + " /root."),
          Map.entry("is_a_directory", "Name a file in it."),
          Map.entry("not_a_directory", "Name the directory above it."),
          Map.entry("not_a_file", "Use code to work with devices, pipes and sockets."),
          Map.entry("permission_denied", "Choose a path under /root or /tmp."),
          Map.entry("invalid_path", "Give an absolute path, or one relative to /root."));

  /** Where the code is none of these. */
  static final Map<Class<? extends PodflareException>, String> BY_KIND =
      Map.of(
          AuthenticationException.class,
          "You can't mend this. Go on without running code, and say that it could not be run.",
          QuotaException.class,
          "Don't call this tool again for now; say that the limit of this account is reached.",
          CapacityException.class,
          "The machine is full. Try again later, or go on without running code.",
          NotFoundException.class,
          "Check the name, and list what is there.",
          ConflictException.class,
          "It can't be done in the present state. Look at the state before you try again.",
          InvalidRequestException.class,
          "Mend the input and call again.",
          RequestTimeoutException.class,
          "Try once more, with less to do.",
          ConnectionException.class,
          ONCE_MORE,
          ServerException.class,
          ONCE_MORE,
          PodflareException.class,
          "Go on without it, and say so.");

  private Advice() {}

  /** What the model is told of it. */
  static ToolAnswer about(PodflareException error) {
    return about(error, error.sentence());
  }

  /** The same with a sentence that says more of what happened. */
  static ToolAnswer about(PodflareException error, String sentence) {
    String what = Texts.withoutAtTheEnd(Texts.clean(sentence), ". ");
    return ToolAnswer.told("error: " + what + ". " + advice(error), true);
  }

  private static String advice(PodflareException error) {
    String known = error.code().map(BY_CODE::get).orElse(null);
    if (known != null) {
      return known;
    }
    // A merge's conflict is a kind of conflict, so the class above is asked too.
    for (Class<?> kind = error.getClass(); kind != null; kind = kind.getSuperclass()) {
      String advice = BY_KIND.get(kind);
      if (advice != null) {
        return advice;
      }
    }
    throw new AssertionError("every exception of the SDK is a PodflareException", error);
  }
}
