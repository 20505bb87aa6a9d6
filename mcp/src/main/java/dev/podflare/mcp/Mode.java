package dev.podflare.mcp;

import dev.podflare.mcp.ToolSpec.Parameter;

/** How a client names the sandbox that it means, by the version of the protocol that it speaks. */
enum Mode {
  /** Up to 2025-11-25, with a session: a call without {@code sandbox_id} means its own sandbox. */
  SESSION,

  /**
   * From 2026-07-28, each call for itself: the first answer tells an id, and later calls pass it.
   */
  STATELESS;

  /** One of two wordings. */
  String words(String session, String stateless) {
    return this == SESSION ? session : stateless;
  }

  /** The sandbox of a tool that may be the first to be called. */
  Parameter sandboxOrNew() {
    return Parameter.sandbox(
        words(
            "Which sandbox. Leave it out to use this conversation's own, which is made at the first"
                + " use and keeps its state between calls.",
            "Which sandbox. Leave it out in the first call only: that makes a new one and answers"
                + " its id. Pass the id in every later call, to find variables and files again."));
  }

  /**
   * The sandbox of a tool that needs one that is there.
   *
   * @param what it is to the tool, as the begin of a sentence
   */
  Parameter sandbox(String what) {
    Parameter parameter =
        Parameter.sandbox(
            what
                + words(
                    ". Leave it out for this conversation's own.",
                    ", by the id that run_python, create_sandbox or fork answered."));
    return this == SESSION ? parameter : parameter.needed();
  }
}
