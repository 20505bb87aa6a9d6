package dev.podflare.server;

import java.util.Set;

/**
 * A path of this server that another module answers.
 *
 * <p>It stands behind the same door as the API: no call reaches it without a key, from a web page
 * that may not ask, or over a connection that is not guarded. It is counted and logged as the API's
 * own routes are.
 */
public interface Mount {

  /** One exact path, such as {@code /mcp}. */
  String path();

  /** The HTTP methods that are answered; any other is a 405. */
  Set<String> methods();

  /**
   * Answers one request. Runs on a virtual thread, and may block. An exception becomes an error
   * answer, or ends the connection if the answer has begun.
   */
  void answer(MountedCall call) throws Exception;
}
