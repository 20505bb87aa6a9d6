package dev.podflare.sandbox;

import dev.podflare.engine.EngineException;
import dev.podflare.guest.GuestException;
import dev.podflare.guest.GuestLostException;
import dev.podflare.guest.GuestRefusedException;
import dev.podflare.guest.GuestSilentException;
import dev.podflare.sandbox.SandboxException.Reason;
import java.io.IOException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Optional;

/** Every refusal of this module, with its words for the user in one place. */
final class Refusals {

  private Refusals() {}

  static SandboxException noSandbox() {
    return new SandboxException(
        Reason.NO_SANDBOX,
        "sandbox_not_found",
        "sandbox not found",
        "It may have been closed, or have reached its idle timeout. Create a new one.");
  }

  /**
   * It was closed. Only who owns it may hear this.
   *
   * @param end why, as the registry has it
   */
  static SandboxException noSandboxAnyMore(String end, Instant when) {
    String why =
        switch (end) {
          case "closed" -> "It was closed";
          case "merged" -> "It was merged into its parent, whose id now drives it,";
          case "frozen" -> "It was frozen into a Space";
          case "idle_timeout" -> "It reached its idle timeout";
          case "max_lifetime" -> "It reached its maximum lifetime";
          default -> "It ended (" + end.replace('_', ' ') + ")";
        };
    return new SandboxException(
        Reason.NO_SANDBOX,
        "sandbox_not_found",
        "sandbox not found",
        why
            + " at "
            + when.truncatedTo(ChronoUnit.SECONDS)
            + ". "
            + (end.equals("frozen") ? "Resume the Space." : "Create a new one."));
  }

  static SandboxException noExec() {
    return new SandboxException(
        Reason.NO_EXEC,
        "exec_not_found",
        "exec not found",
        "Of those that have ended only the last ones are kept. List the sandbox's execs to see"
            + " which.");
  }

  static SandboxException tooManyInBackground(int most) {
    return new SandboxException(
        Reason.OVER_QUOTA,
        "too_many_execs",
        "The sandbox has "
            + most
            + " background commands that have not ended, and may have no more.",
        "Wait until one has ended, or interrupt it, and try again.");
  }

  static SandboxException tooManyWaiting(int most) {
    return new SandboxException(
        Reason.OVER_QUOTA,
        "too_many_execs",
        "In the sandbox " + most + " detached execs wait for their turn, and no more may wait.",
        "Wait until some have ended, or interrupt them, and try again.");
  }

  static SandboxException onceKeyReused() {
    return new SandboxException(
        Reason.INVALID,
        "idempotency_key_reused",
        "The Idempotency-Key was used for another request on this path.",
        "Use a new key for each request, and an old one only to send the same request again.");
  }

  static SandboxException lost(String why) {
    return new SandboxException(
        Reason.WRONG_STATE,
        "sandbox_lost",
        "The sandbox's machine has ended: " + why,
        "Its files and variables are gone. Close it and create a new one.");
  }

  static SandboxException invalid(String field, String message, String hint) {
    return new SandboxException(
        Reason.INVALID, "invalid_" + field, message, hint, Optional.of(field), null);
  }

  static SandboxException noRoom(int machines, long freeBytes, int roomFor) {
    String what = machines == 1 ? "one more sandbox" : machines + " more sandboxes";
    return new SandboxException(
        Reason.NO_ROOM,
        "no_room",
        "This host has no memory for "
            + what
            + ": "
            + (freeBytes >> 20)
            + " MB are free, enough for "
            + roomFor
            + ".",
        "Close sandboxes that are no longer used, or try again later.");
  }

  static SandboxException busy(String why) {
    return new SandboxException(
        Reason.WRONG_STATE,
        "sandbox_busy",
        "The sandbox " + why + ", which did not end in time for this.",
        "Wait until it has ended, or interrupt it, and try again.");
  }

  static SandboxException intoItself() {
    return new SandboxException(
        Reason.INVALID,
        "merge_into_itself",
        "A sandbox can't be merged into itself.",
        "Name the fork whose state it shall take.");
  }

  static SandboxException notARelative() {
    return new SandboxException(
        Reason.WRONG_STATE,
        "not_a_relative",
        "The two sandboxes are of different families, so one can't be merged into the other.",
        "Merge a sandbox with its forks. Between strangers, copy files.");
  }

  /** This host's own disk failed, which is full as a rule. */
  static EngineException ofDisk(String what, IOException failure) {
    boolean full = String.valueOf(failure.getMessage()).contains("No space left on device");
    return new EngineException(
        full ? EngineException.Kind.NO_ROOM : EngineException.Kind.FAILED,
        what + ": " + failure.getMessage(),
        failure);
  }

  static SandboxException notFrozen(EngineException failure) {
    return switch (failure.kind()) {
      case NO_ROOM ->
          new SandboxException(
              Reason.NO_ROOM,
              "no_room",
              "This host's disk has no room for the Space: " + failure.getMessage(),
              "The sandbox goes on. Delete Spaces that are no longer used, and try again.",
              Optional.empty(),
              failure);
      case GONE, SNAPSHOT_MISMATCH, FAILED -> of(failure);
    };
  }

  static SandboxException noSpace() {
    return new SandboxException(
        Reason.NO_SPACE,
        "space_not_found",
        "space not found",
        "It may have been deleted. List the Spaces to see those that are there.");
  }

  static SandboxException spaceDamaged(Exception cause) {
    return new SandboxException(
        Reason.WRONG_STATE,
        "space_damaged",
        "The Space's files are torn or were altered, so it is not waked: " + cause.getMessage(),
        "Restore its directory from a copy, or delete the Space.",
        Optional.empty(),
        cause);
  }

  static SandboxException spaceUnfit(String made, String here) {
    return new SandboxException(
        Reason.WRONG_STATE,
        "space_unfit",
        "The Space was frozen by another engine or on another processor ("
            + made
            + "), and does"
            + " not fit this host ("
            + here
            + ").",
        "Resume it on a host like the one that froze it.");
  }

  /** All files are whole, and still the engine can make no machine of them. */
  static SandboxException spaceNotTaken(EngineException cause) {
    return new SandboxException(
        Reason.WRONG_STATE,
        "space_unfit",
        "The Space's state does not load here: " + cause.getMessage(),
        "Resume it with the version of QEMU that froze it, or with a newer one.",
        Optional.empty(),
        cause);
  }

  static SandboxException spaceInUse() {
    return new SandboxException(
        Reason.WRONG_STATE,
        "space_in_use",
        "A persistent sandbox sleeps in this Space.",
        "Close the sandbox, which deletes the Space, or freeze it, which makes the Space yours.");
  }

  static SandboxException noTemplate() {
    return new SandboxException(
        Reason.NO_TEMPLATE,
        "template_not_found",
        "template not found",
        "It may have been deleted. List the templates to see those that are there.");
  }

  static SandboxException templateBuiltIn(String name) {
    return new SandboxException(
        Reason.WRONG_STATE,
        "template_built_in",
        "The template " + name + " is one that every host has.",
        "Choose another name for a template of your own.");
  }

  static SandboxException templateBuilding(String name) {
    return new SandboxException(
        Reason.WRONG_STATE,
        "template_building",
        "The template " + name + " is being built already.",
        "Wait until that has ended, or delete the template, which stops it.");
  }

  static SandboxException templateNotBuiltYet(String name) {
    return new SandboxException(
        Reason.WRONG_STATE,
        "template_building",
        "The template " + name + " is being built for the first time.",
        "Wait until the template list says that it is ready.");
  }

  static SandboxException templateNeverBuilt(String name, String why) {
    return new SandboxException(
        Reason.WRONG_STATE,
        "template_failed",
        "The template " + name + " was never built to its end: " + why,
        "Mend its script or its packages, and build it again.");
  }

  /** It was deleted, or replaced by one of another size, while it was used. */
  static SandboxException templateGone(String name) {
    return new SandboxException(
        Reason.WRONG_STATE,
        "template_gone",
        "The template " + name + " was deleted or built anew just now.",
        "Try again.");
  }

  static String unfitSentence(String name) {
    return "The template "
        + name
        + " was built by another engine or on another processor, and does not fit this host.";
  }

  static SandboxException templateUnfit(String name, String base) {
    return new SandboxException(
        Reason.WRONG_STATE,
        "template_unfit",
        unfitSentence(name),
        "Build it again from " + base + "; until then, create from another template.");
  }

  static SandboxException templateOutdated(String name, String base) {
    return new SandboxException(
        Reason.WRONG_STATE,
        "template_unfit",
        "A sandbox of the template "
            + name
            + " does not come up any more, now that its base has changed.",
        "Build it again from " + base + "; until then, create from another template.");
  }

  static SandboxException templateDamaged(String name, Exception cause) {
    return new SandboxException(
        Reason.WRONG_STATE,
        "template_damaged",
        "The files of the template "
            + name
            + " are torn or were altered, so it is not used: "
            + cause.getMessage(),
        "Build it again, or delete it.",
        Optional.empty(),
        cause);
  }

  static SandboxException tooManyBuilds(int most) {
    return new SandboxException(
        Reason.NO_ROOM,
        "too_many_builds",
        "This host builds " + most + " templates already, and no more at once.",
        "Try again when one of them has ended.");
  }

  static SandboxException tooManyTemplates(int most) {
    return new SandboxException(
        Reason.WRONG_STATE,
        "too_many_templates",
        "This key has " + most + " templates already, and can't have more.",
        "Delete those that are no longer used.");
  }

  static SandboxException closing() {
    return new SandboxException(
        Reason.NO_ROOM,
        "shutting_down",
        "The server is shutting down.",
        "Try again when it is back.");
  }

  static SandboxException interrupted(InterruptedException cause) {
    Thread.currentThread().interrupt();
    return new SandboxException(
        Reason.NO_ROOM,
        "shutting_down",
        "The call was interrupted, because the server is shutting down.",
        "Try again when it is back.",
        Optional.empty(),
        cause);
  }

  static SandboxException noTerminal() {
    return new SandboxException(
        Reason.NO_TERMINAL,
        "terminal_not_found",
        "There is no such terminal in this sandbox.",
        "GET /v1/sandboxes/{id}/ptys lists those that are there.");
  }

  static SandboxException tooManyTerminals(int most) {
    return new SandboxException(
        Reason.WRONG_STATE,
        "too_many_terminals",
        "The sandbox has " + most + " terminals going on, as many as it may.",
        "End one of them: GET /v1/sandboxes/{id}/ptys lists them, DELETE kills one.");
  }

  static SandboxException terminalsUnsupported() {
    return new SandboxException(
        Reason.WRONG_STATE,
        "terminals_unsupported",
        "The sandbox was made by an earlier version, whose guest has no terminals.",
        "Create a new sandbox, and carry the files over.");
  }

  static SandboxException tooManyChanges() {
    return new SandboxException(
        Reason.TOO_LARGE,
        "too_many_changes",
        "More files were changed than can be merged at once.",
        "Name the directories to merge in `paths`, or swap the whole machine.");
  }

  /** The engine could not do it. */
  static SandboxException of(EngineException failure) {
    return switch (failure.kind()) {
      case NO_ROOM ->
          new SandboxException(
              Reason.NO_ROOM,
              "no_room",
              "This host has no room for one more sandbox: " + failure.getMessage(),
              "Close sandboxes that are no longer used, or try again later.",
              Optional.empty(),
              failure);
      case GONE -> lost("it ended while it was used.");
      case SNAPSHOT_MISMATCH, FAILED ->
          new SandboxException(
              Reason.BROKEN,
              "engine_failed",
              "The host could not start or drive the sandbox's machine.",
              "Try again. If it happens again, the server's log and `podflare doctor` say more.",
              Optional.empty(),
              failure);
    };
  }

  /** The guest did not do it. */
  static SandboxException of(GuestException failure, String path) {
    return switch (failure) {
      case GuestRefusedException refused -> ofGuest(refused, path);
      case GuestSilentException silent ->
          new SandboxException(
              Reason.BROKEN,
              "guest_silent",
              "The sandbox did not answer in time.",
              "It may be out of memory or processor time. Try again, or close it.",
              Optional.empty(),
              silent);
      case GuestLostException lost -> lost("it ended while it was used.");
    };
  }

  private static SandboxException ofGuest(GuestRefusedException refused, String path) {
    return switch (refused.code()) {
      case "not_found" ->
          new SandboxException(
              Reason.NO_FILE,
              "file_not_found",
              "There is no " + path + " in the sandbox.",
              "List its directory to see what is there.");
      case "is_a_directory" ->
          invalidPath("is_a_directory", path + " is a directory.", "Name a file in it.");
      case "not_a_file" ->
          invalidPath(
              "not_a_file",
              path + " is a device, a pipe or a socket.",
              "Name a regular file; code in the sandbox can use the others.");
      case "not_a_directory" ->
          invalidPath(
              "not_a_directory",
              "A part of " + path + " is no directory.",
              "List the directories that lead to it.");
      case "permission_denied" ->
          invalidPath(
              "permission_denied",
              "The sandbox does not allow that on " + path + ".",
              "Choose a path under /root or /tmp.");
      case "invalid_path" ->
          invalidPath(
              "invalid_path",
              "That is no path that can be used: " + refused.getMessage(),
              "Use an absolute path, or one relative to /root, of at most 4,096 bytes.");
      case "no_space" ->
          new SandboxException(
              Reason.TOO_LARGE,
              "disk_full",
              "The sandbox's disk is full.",
              "Remove files in it, or create a sandbox with a larger disk_mb.");
      case "too_large" ->
          new SandboxException(
              Reason.TOO_LARGE,
              "too_large",
              "That is more than a sandbox takes in one piece: " + refused.getMessage(),
              "Send it as a file instead.");
      case "bad_cwd" ->
          invalid(
              "cwd",
              "The directory named by cwd can't be used: " + refused.getMessage(),
              "Create it first, or leave cwd out.");
      case "invalid_text" ->
          new SandboxException(
              Reason.INVALID,
              "invalid_text",
              "A text in the request is no valid Unicode: it has half of a surrogate pair.",
              "Send code, paths and variables as UTF-8.");
      default ->
          new SandboxException(
              Reason.BROKEN,
              "guest_failed",
              "The sandbox could not do that: " + refused.getMessage(),
              "Try again, or use another sandbox.",
              Optional.empty(),
              refused);
    };
  }

  private static SandboxException invalidPath(String code, String message, String hint) {
    return new SandboxException(Reason.INVALID, code, message, hint, Optional.of("path"), null);
  }
}
