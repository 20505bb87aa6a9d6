package dev.podflare.mcp;

import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * For whom a tool works: which sandbox is meant by a call that names none, and which sandboxes are
 * this client's. Safe for use by many threads.
 */
interface Caller {

  SandboxCalls calls();

  /**
   * The sandbox that a call means that names none.
   *
   * @throws Failure if such a call can't mean any
   */
  String unnamed();

  /** The same, for a call that may be a client's first: makes one if there is none. */
  String unnamedOrNew();

  /** The sandbox that a call without a name would mean, if there is one already. */
  Optional<String> unnamedIfAny();

  /** What the client has to be told of the sandbox that this call has made for it. */
  Optional<String> news();

  /** Of these, the sandboxes that are this client's. */
  Set<String> ownOf(List<SandboxCalls.Listed> sandboxes);

  /** A sandbox was made for this client by name. */
  void made(String sandbox);

  /** A sandbox has got children. */
  void forked(String parent, List<String> children);

  /** A sandbox is no more. */
  void gone(String sandbox);
}
