package dev.podflare.mcp;

import java.util.Optional;

/**
 * One call of a tool.
 *
 * @param watcher hears of progress, if the client asked for it
 */
record ToolCall(RunningCall running, Arguments arguments, Optional<Watcher> watcher) {

  /** Tells the client that a call still runs. */
  interface Watcher {
    /**
     * It still runs.
     *
     * @param seconds since the call began
     * @param message what it does just now
     */
    void tell(double seconds, String message);
  }

  Caller caller() {
    return running.caller();
  }

  SandboxCalls calls() {
    return caller().calls();
  }

  /** The sandbox that is meant: the one that is named, or else the caller's own. */
  String sandbox() {
    return arguments.sandbox("sandbox_id").orElseGet(() -> caller().unnamed());
  }

  /** The same, for a tool that may be the first to be called. */
  String sandboxOrNew() {
    return arguments.sandbox("sandbox_id").orElseGet(() -> caller().unnamedOrNew());
  }
}
