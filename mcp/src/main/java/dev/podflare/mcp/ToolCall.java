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

  Connection connection() {
    return running.connection();
  }

  SandboxCalls calls() {
    return connection().calls();
  }

  /** The sandbox that is meant: the one that is named, or else the connection's own. */
  String sandbox() {
    return arguments.sandbox("sandbox_id").orElseGet(() -> connection().own());
  }
}
