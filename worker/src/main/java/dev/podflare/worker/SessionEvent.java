package dev.podflare.worker;

import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** What happened in a session, as far as a worker needs to know it. */
sealed interface SessionEvent {
  /**
   * Whether a call may run. What the provider says that is not known here counts as {@link #ASK}.
   */
  enum Permission {
    ALLOW,
    ASK,
    DENY
  }

  /**
   * The agent calls a tool.
   *
   * @param isCustom whether it is one of the agent's own tools, which is answered by another event
   * @param thread the subagent that asks, if it is one
   */
  record ToolCall(
      String id,
      String name,
      Map<String, @Nullable Object> input,
      Permission permission,
      boolean isCustom,
      Optional<String> thread)
      implements SessionEvent {}

  /** A call has its answer. */
  record Answered(String call) implements SessionEvent {}

  /** The user decided on a call. */
  record Verdict(String call, boolean isAllowed) implements SessionEvent {}

  /** A subagent has ended: its calls can't be answered any more. */
  record ThreadEnded(String thread) implements SessionEvent {}

  /** The agent waits: for answers, or, if its turn ended, for the user. */
  record Idle(boolean isTurnEnded) implements SessionEvent {}

  /** The user stops what the agent does now. */
  record Interrupted() implements SessionEvent {}

  /** The session is over for good. */
  record Ended() implements SessionEvent {}

  /** Anything else: the agent is at work. */
  record Other() implements SessionEvent {}

  /** Nothing, if it only keeps the connection alive. */
  static Optional<SessionEvent> of(JsonNode event) throws ProviderException {
    String type = event.path("type").asString("");
    return switch (type) {
      case "", "ping" -> Optional.empty();
      case "agent.tool_use" -> Optional.of(call(event, false));
      case "agent.custom_tool_use" -> Optional.of(call(event, true));
      case "user.tool_result" -> Optional.of(new Answered(Json.id(event, "tool_use_id")));
      case "user.custom_tool_result" ->
          Optional.of(new Answered(Json.id(event, "custom_tool_use_id")));
      case "user.tool_confirmation" ->
          Optional.of(
              new Verdict(
                  Json.id(event, "tool_use_id"),
                  event.path("result").asString("").equals("allow")));
      case "user.interrupt" -> Optional.of(new Interrupted());
      case "session.thread_status_terminated" ->
          Optional.of(new ThreadEnded(Json.id(event, "session_thread_id")));
      case "session.status_idle" ->
          Optional.of(
              new Idle(
                  !event.path("stop_reason").path("type").asString("").equals("requires_action")));
      case "session.status_terminated", "session.deleted" -> Optional.of(new Ended());
      default -> Optional.of(new Other());
    };
  }

  private static ToolCall call(JsonNode event, boolean isCustom) throws ProviderException {
    Permission permission =
        switch (event.path("evaluated_permission").asString("")) {
          case "", "allow" -> Permission.ALLOW;
          case "deny" -> Permission.DENY;
          default -> Permission.ASK;
        };
    String thread = event.path("session_thread_id").asString("");
    return new ToolCall(
        Json.id(event, "id"),
        event.path("name").asString(""),
        Json.object(event.path("input")),
        permission,
        isCustom,
        thread.isEmpty() ? Optional.empty() : Optional.of(thread));
  }
}
