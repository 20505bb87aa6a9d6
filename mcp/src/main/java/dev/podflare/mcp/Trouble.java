package dev.podflare.mcp;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;

/**
 * What can go wrong, in words for a model: docs/mcp.md shows the same table. The server's hints are
 * for people who call its API; a model has tools only, so its next step is one of them.
 */
enum Trouble {
  BAD_ARGUMENT(
      "An argument is missing, has the wrong type, or is not known",
      "The tool was not called as its schema says; nothing was done.",
      "Call the tool again with the arguments of its schema."),
  SANDBOX_NOT_FOUND(
      "sandbox not found",
      "It never was, was destroyed, was idle for too long, or belongs to another key.",
      "Call list_sandboxes to see what is there, or call run_python without sandbox_id, which uses this"
          + " conversation's own or makes a new one. Then set up again what you need."),
  SANDBOX_ID_MISSING(
      "This call must name a sandbox",
      "This client keeps no session, so there is no sandbox that a call without sandbox_id could mean.",
      "Pass the sandbox_id that run_python, create_sandbox or fork answered. If you have none, call"
          + " run_python without sandbox_id: it makes a sandbox and answers its id."),
  OWN_SANDBOX_GONE(
      "This connection's own sandbox is gone, with its variables and files",
      "It was closed from outside, or has reached the end of its lifetime.",
      "Call the tool again: it gets a fresh sandbox. Then set up again what you need."),
  SANDBOX_LOST(
      "The sandbox's machine has ended",
      "It ran out of memory, was powered off from inside, or crashed.",
      "Call destroy_sandbox, then run again in a fresh sandbox, with less memory at once."),
  SANDBOX_BUSY(
      "Code still runs in the sandbox",
      "This call needs it to be idle, and it did not end in time.",
      "Wait for the running call to end, or for a diff pass variables=false."),
  FILE_NOT_FOUND(
      "There is no such file or directory",
      "Nothing is at this path in this sandbox.",
      "List the directory with run_bash: ls -la. Relative paths begin at /root."),
  IS_A_DIRECTORY(
      "The path is a directory",
      "A file is wanted here.",
      "Name a file in it, or pack it first with run_bash: tar czf /tmp/all.tgz DIRECTORY."),
  NOT_A_DIRECTORY(
      "The path is not a directory",
      "A part of the path before its end is a file.",
      "Look at the path with run_bash: ls -la."),
  NOT_A_FILE(
      "The path is a device, a pipe or a socket",
      "Only regular files can be carried.",
      "Copy what it says into a file with run_bash, and carry that."),
  PERMISSION_DENIED(
      "The sandbox does not allow this on this path",
      "The path is protected in the sandbox.",
      "Use a path under /root or /tmp."),
  INVALID_PATH(
      "The path can't be used",
      "It is empty, too long, or holds a character that no path has.",
      "Pass an absolute path, or one relative to /root."),
  FILE_TOO_LARGE(
      "The file is larger than 6 MB",
      "Files of this size do not go through a tool call.",
      "Take a part of it (run_bash: head, split), or compress it, and carry that."),
  DISK_FULL(
      "The file does not fit on the sandbox's disk",
      "The disk is full.",
      "Remove files with run_bash, or call create_sandbox with a larger disk_mb."),
  TOO_LARGE(
      "The code is too large",
      "A call takes at most 1 MiB of code.",
      "Upload the data as a file, and read it from the code."),
  BODY_TOO_LARGE(
      "The call is too large",
      "A call takes at most 1 MiB of code.",
      "Upload the data as a file, and read it from the code."),
  SPACE_NOT_FOUND(
      "space not found",
      "It never was, is deleted, or belongs to another key.",
      "Call list_sandboxes: it lists the spaces too."),
  SPACE_UNFIT(
      "The space can't be resumed on this host",
      "It was made on another kind of machine or processor.",
      "Make a new sandbox with create_sandbox, and set up again what you need."),
  SPACE_DAMAGED(
      "A file of the space is corrupted, so it was not resumed",
      "The disk lost or changed data.",
      "Make a new sandbox with create_sandbox, and set up again what you need."),
  NOT_A_RELATIVE(
      "The two sandboxes are of different families",
      "Only sandboxes that were forked from one another can be merged.",
      "Carry the files over with download and upload."),
  MERGE_CONFLICT(
      "Files were changed on both sides, and nothing was merged",
      "Both sandboxes changed the same files since the fork.",
      "Call merge_into again with on_conflict winner or parent, or with mode swap to take the winner as"
          + " a whole."),
  MERGE_INTO_ITSELF(
      "Both ids of the merge are the same",
      "A sandbox can't be merged into itself.",
      "Pass the fork that won as winner_id."),
  TOO_MANY_CHANGES(
      "More files were changed than are merged at once; nothing was merged",
      "The changes are too many for mode files.",
      "Use mode swap, which takes the winner as a whole."),
  NO_ROOM(
      "There is no room for one more sandbox",
      "The host's memory is used up.",
      "Destroy sandboxes that you no longer need (list_sandboxes, destroy_sandbox), then try again."),
  NO_SERVER(
      "No Podflare server is configured here",
      "There is no credentials file of a server on this machine, and PODFLARE_HOSTD_URL is not set, or"
          + " it is not an address.",
      "Ask the user to start a server on this machine (podflare up --detach), or to set"
          + " PODFLARE_HOSTD_URL (such as http://127.0.0.1:7070) and PODFLARE_API_KEY in this client's"
          + " configuration. Then call again."),
  MISSING_API_KEY(
      "The server asks for an API key",
      "None was sent.",
      "Ask the user to put the key into this client's configuration (PODFLARE_API_KEY, or the header"
          + " Authorization: Bearer KEY over HTTP). You can't do this yourself."),
  INVALID_API_KEY(
      "The server does not know this API key",
      "It was changed, or belongs to another server.",
      "Ask the user to correct the key in this client's configuration. You can't do this yourself."),
  SERVER_UNREACHABLE(
      "The Podflare server can't be reached",
      "It does not run, or its address is another one.",
      "Ask the user to start it (podflare up --detach), then call again."),
  OUTCOME_UNKNOWN(
      "The connection to the server broke before the answer was whole",
      "The server was stopped or restarted. Whether the call was carried out is not known.",
      "Check its effects (list_sandboxes, or a short run_bash) before you call again."),
  TOO_MANY_CALLS(
      "Too many calls of this connection run at once", "At most 64 may.", "Wait for some to end.");

  private final String what;
  private final String why;
  private final String next;

  Trouble(String what, String why, String next) {
    this.what = what;
    this.why = why;
    this.next = next;
  }

  /** The word for programs; the server's own where it is the server that refuses. */
  String code() {
    return name().toLowerCase(Locale.ROOT);
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

  static Optional<Trouble> of(String code) {
    return Arrays.stream(values()).filter(trouble -> trouble.code().equals(code)).findFirst();
  }
}
