package dev.podflare.sandbox;

import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.Optional;

/**
 * All that can be done with sandboxes, addressed by id.
 *
 * <p>This is the seam between what a sandbox can do and who may ask for it: the HTTP layer decides
 * the latter and calls this interface, which one day may stand for another host. So no value here
 * names a path, process or address of a host.
 *
 * <p>Every call blocks; run it on a virtual thread. Safe for use by many threads. Calls throw
 * {@link SandboxException}, whose {@link SandboxException.Reason} says what kind of refusal it is.
 */
public interface Sandboxes {

  /**
   * Makes a sandbox that is ready to run code.
   *
   * @throws SandboxException {@code INVALID} for a request that makes no sense, {@code NO_ROOM} if
   *     this host can't hold one more
   */
  default SandboxInfo create(CreateSandbox request) {
    return create(request, Optional.empty()).what();
  }

  /**
   * The same, once for all calls with the same key within a day: an earlier one's sandbox is
   * answered as it was then, and one that is at work is waited for. A call that failed does not
   * count.
   *
   * @throws SandboxException also {@code INVALID} if the key was used for another request
   */
  Answered<SandboxInfo> create(CreateSandbox request, Optional<OnceKey> once);

  /** Looks one up; empty for an id that never was or whose sandbox is closed. */
  Optional<SandboxInfo> find(SandboxId id);

  /**
   * The same.
   *
   * @throws SandboxException {@code NO_SANDBOX}, which says when and why one that was has ended
   */
  SandboxInfo require(SandboxId id);

  /** Whether a sandbox of this id ever was, closed or not, and whose it is. */
  Optional<String> ownerEver(SandboxId id);

  /** One page of the sandboxes that are not closed, oldest first. */
  SandboxPage list(SandboxQuery query);

  /**
   * Runs code. Execs of one sandbox queue in order; this call returns once it is this one's turn
   * and the code has been handed to the guest.
   */
  ExecStream exec(SandboxId id, ExecRequest request);

  /**
   * Lets code run that nobody waits with. Returns at once, also when the code has yet to wait for
   * its turn; whatever becomes of it then is told by its events.
   *
   * @throws SandboxException {@code OVER_QUOTA} if too many wait already
   */
  ExecInfo detach(SandboxId id, ExecRequest request);

  /**
   * The same for a command of bash that runs beside all others, instead of in its turn.
   *
   * @throws SandboxException {@code OVER_QUOTA} if too many run already
   */
  ExecInfo runInBackground(SandboxId id, ExecRequest request);

  /** The execs of a sandbox that wait or run, and the last ones that have ended; oldest first. */
  List<ExecInfo> execs(SandboxId id);

  /**
   * One of them.
   *
   * @throws SandboxException {@code NO_EXEC} if there is none of this id
   */
  ExecInfo findExec(SandboxId id, ExecId exec);

  /**
   * The events of an exec as they were told, and then those that come.
   *
   * @param from the number of the first one
   * @throws SandboxException {@code NO_EXEC} if there is none of this id
   */
  ExecStream attach(SandboxId id, ExecId exec, long from);

  /**
   * Stops an exec as Ctrl-C would, or keeps it from beginning. Does nothing when it has ended.
   *
   * @throws SandboxException {@code NO_EXEC} if there is none of this id
   */
  void interrupt(SandboxId id, ExecId exec);

  /** How many execs there were since the start of the server. */
  ExecCounts execCounts();

  /** Stops the running exec as Ctrl-C would. Does nothing when none is running. */
  void interrupt(SandboxId id);

  /**
   * Stores a file, whole or not at all, from a stream of any length.
   *
   * @param path in the guest: absolute, relative to {@code /root}, or from {@code ~}
   * @param mode permission bits, 0 to 0777; empty keeps those of a file that is replaced
   * @return the number of bytes stored
   * @throws IOException if {@code content} failed; nothing is stored then
   */
  long writeFile(SandboxId id, String path, Optional<Integer> mode, InputStream content)
      throws IOException;

  /** Opens a regular file for reading; the caller closes the stream. */
  FileContent readFile(SandboxId id, String path);

  FileListing listFiles(SandboxId id, String path);

  /** Removes a file, or a directory if {@code recursive} or empty. */
  void removeFile(SandboxId id, String path, boolean recursive);

  /** Runs a program on a terminal of its own. It goes on when the stream is closed. */
  TerminalStream openTerminal(SandboxId id, OpenTerminal request);

  /**
   * Reads a terminal, in place of who reads it now. At most 1 MiB of what it said before comes
   * first.
   *
   * @throws SandboxException {@code NO_TERMINAL} if there is none of this id
   */
  TerminalStream attachTerminal(SandboxId id, TerminalId terminal);

  /** The terminals of a sandbox, those that have ended not long ago with them, oldest first. */
  List<TerminalInfo> terminals(SandboxId id);

  /**
   * Kills a terminal's program, and lists the terminal no more.
   *
   * @throws SandboxException {@code NO_TERMINAL} if there is none of this id
   */
  void killTerminal(SandboxId id, TerminalId terminal);

  /**
   * Makes live copies of a sandbox: memory, disk, processes and threads as of one instant. The
   * sandbox stands still for milliseconds, goes on, and never learns of it, also when this fails.
   *
   * <p>All copies run when this call returns, or there are none. The first call on a copy waits
   * until its guest has taken an identity of its own; a copy that does not within its time is lost.
   *
   * @param n 1 to 100
   * @throws SandboxException {@code NO_ROOM} if the host can't hold all of them
   */
  default Fork fork(SandboxId id, int n) {
    return fork(id, n, Optional.empty()).what();
  }

  /** The same, once for all calls with the same key, as {@link #create} does. */
  Answered<Fork> fork(SandboxId id, int n, Optional<OnceKey> once);

  /** All members of a sandbox's family that ever were, oldest first. */
  List<Relative> family(SandboxId id);

  /** What differs between two sandboxes, seen from the first to the second. */
  Difference compare(SandboxId from, SandboxId to, CompareSandboxes what);

  /**
   * Merges a sandbox into one of its family.
   *
   * <p>{@link MergeSandboxes.Mode#SWAP} waits for the turn of both like an exec; from then on the
   * parent's id drives the winner's machine, and the winner's id is closed. {@link
   * MergeSandboxes.Mode#FILES} needs a winner that descends from the parent.
   *
   * @throws SandboxException {@code INVALID} if both are the same, {@code WRONG_STATE} if they are
   *     of different families or one is lost
   */
  MergeReport merge(SandboxId parent, SandboxId winner, MergeSandboxes how);

  /**
   * Freezes a sandbox to disk once it is its turn. The sandbox's id is closed; its microVM is whole
   * until the Space is, whatever dies in between.
   */
  SpaceInfo freeze(SandboxId id);

  /** The Spaces of an owner, oldest first. */
  List<SpaceInfo> spaces(String owner);

  /** Looks a Space up; empty for an id that never was or whose Space is deleted. */
  Optional<SpaceInfo> findSpace(SpaceId id);

  /** Whether a Space of this id ever was, deleted or not, and whose it is. */
  Optional<String> spaceOwnerEver(SpaceId id);

  /**
   * Wakes a sandbox from a Space, which stays as it is.
   *
   * @throws SandboxException {@code NO_SPACE} if there is none, {@code WRONG_STATE} if it is
   *     damaged or does not fit this host any more
   */
  default SandboxInfo resume(SpaceId id) {
    return resume(id, Optional.empty()).what();
  }

  /** The same, once for all calls with the same key, as {@link #create} does. */
  Answered<SandboxInfo> resume(SpaceId id, Optional<OnceKey> once);

  /** Deletes a Space. Does nothing if it is deleted already. */
  void deleteSpace(SpaceId id);

  /** The templates that an owner can use: first those that every host has, then his own by name. */
  List<TemplateInfo> templates(String owner);

  /**
   * Begins to build a template, or the next version of it; the version before stays until this one
   * is whole. The build goes on whether or not anybody reads what it says.
   *
   * @throws SandboxException {@code INVALID} for a base that is not there, {@code WRONG_STATE} for
   *     a name that every host has or that is being built already, {@code NO_ROOM} if this host
   *     can't build one more
   */
  TemplateBuild buildTemplate(BuildTemplate request);

  /**
   * Deletes a template; a build of it that goes on is stopped. Sandboxes of it live on.
   *
   * @throws SandboxException {@code NO_TEMPLATE} if this owner has none of this name, {@code
   *     WRONG_STATE} for one that every host has
   */
  void deleteTemplate(String owner, String name);

  /** Closes a sandbox: ends its microVM and what it holds. Does nothing if it is closed already. */
  void close(SandboxId id);

  /** Counters of the pool and the host. */
  Capacity capacity();
}
