package dev.podflare.mcp;

import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What the tools ask of a Podflare server, for one key. Every call throws {@link Failure} if it
 * fails. Safe for use by many threads.
 */
interface SandboxCalls {

  /**
   * Makes a sandbox.
   *
   * @param wanted the fields of the API's call
   * @return its id
   */
  String create(Map<String, ?> wanted);

  /** The sandboxes of this key that are not closed, oldest first, at most so many. */
  List<Listed> sandboxes(int atMost);

  /**
   * One of them.
   *
   * @param parent what it was forked from
   * @param marks its metadata
   * @param fields all that the API tells of it
   */
  record Listed(
      String id, Optional<String> parent, Map<String, String> marks, Map<String, Object> fields) {}

  /** The templates that this key may use. */
  List<Map<String, Object>> templates();

  /** The Spaces of this key, oldest first. */
  List<Map<String, Object>> spaces();

  /** Whether a sandbox is there, in whatever state. */
  boolean exists(String sandbox);

  /** Closes a sandbox; one that is closed already is none the worse. */
  void close(String sandbox);

  /**
   * Runs code, and returns when it has ended.
   *
   * @param output hears what comes, in the thread that called
   */
  Exit run(String sandbox, Code code, Output output);

  /** Stops what runs, as Ctrl-C would: the exec of this id, or whichever runs if it has none. */
  void interrupt(String sandbox, Optional<String> exec);

  /** Makes live copies. */
  Map<String, Object> fork(String sandbox, int n);

  /** What differs, seen from the first to the second. */
  Map<String, Object> diff(
      String sandbox, String other, List<String> paths, boolean variables, boolean text);

  /**
   * Merges the winner into a sandbox.
   *
   * @return what a merge of files did; empty for a swap
   */
  Map<String, Object> merge(String sandbox, String winner, Map<String, ?> how);

  void upload(String sandbox, String path, byte[] content);

  /** A whole file. */
  byte[] download(String sandbox, String path, int atMost);

  /** What a directory holds, as the API lists it. */
  Map<String, Object> list(String sandbox, String path);

  /**
   * Freezes a sandbox to disk, which closes its id.
   *
   * @return the Space's id
   */
  String freeze(String sandbox);

  /**
   * Wakes a new sandbox from a Space.
   *
   * @return the sandbox's id
   */
  String resume(String space);

  /** Deletes a Space; one that is not there is a failure. */
  void deleteSpace(String space);

  /**
   * One piece of code.
   *
   * @param language as the API says it
   */
  record Code(String language, String text, double timeoutSeconds) {}

  /** How an exec ended. */
  record Exit(int code, String reason, boolean stateKept, long durationMs) {}

  /** Hears what running code says, piece by piece. */
  interface Output {

    /** It has an id of its own, by which it can be interrupted. */
    void begun(String exec);

    /** It waits for other code of the sandbox. */
    void waiting();

    void stdout(String text);

    void stderr(String text);

    /** A value that the code shows, by MIME type; binary types in base64. */
    void result(Map<String, String> value);

    /** It ended by an exception, or was not run at all. */
    void error(String name);
  }
}
