package dev.podflare.server;

import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.Optional;

/** One request that was let in to a {@link Mount}, and its answer. */
public interface MountedCall {

  String method();

  /** A header of the request; its first value, if there are several. */
  Optional<String> header(String name);

  /** Who calls: the same word for every call with the same key. */
  String owner();

  /** The key that the caller has shown; empty on a server that asks for none. */
  String key();

  /** Where this server was reached, so that calls of its API can be made from inside. */
  InetSocketAddress reachedAt();

  /**
   * Reads the request's body. A longer one is answered with 413, by an exception that the mount
   * lets pass.
   */
  byte[] body(int atMost);

  /** Answers as a whole. */
  void answer(int status, Map<String, String> headers, byte[] content);

  /**
   * Begins an answer that is written piece by piece. Each write goes out at once; it throws if the
   * client has gone away, which the mount lets pass.
   */
  OutputStream stream(int status, Map<String, String> headers);
}
