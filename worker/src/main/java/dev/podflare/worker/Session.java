package dev.podflare.worker;

import dev.podflare.worker.Provider.Call;
import dev.podflare.worker.SessionEvent.ToolCall;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;

/** A session of the provider's API, as a worker uses it. Any number of threads may share one. */
final class Session {
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  /** Events may hold whole files, so a page has few of them. */
  private static final int PAGE = 50;

  private static final int MOST_PAGES = 2000;

  private final Provider provider;
  private final String id;
  private final String credential;

  Session(Provider provider, String id, String credential) {
    this.provider = provider;
    this.id = id;
    this.credential = credential;
  }

  String id() {
    return id;
  }

  /** What the worker must know before it begins. */
  record Facts(boolean isTerminated, Attachments attachments) {}

  Facts facts() throws ProviderException, InterruptedException {
    JsonNode session = provider.json(credential, Call.get("/v1/sessions/" + id), PATIENCE);
    boolean isTerminated = session.path("status").asString("").equals("terminated");
    return new Facts(isTerminated, isTerminated ? Attachments.NONE : Attachments.of(session));
  }

  /** What happens from now on. */
  EventStream stream() throws ProviderException, InterruptedException {
    return new EventStream(
        provider.stream(credential, Call.get("/v1/sessions/" + id + "/events/stream"), PATIENCE));
  }

  /** All that has happened, oldest first. */
  List<SessionEvent> history() throws ProviderException, InterruptedException {
    List<SessionEvent> events = new ArrayList<>();
    String cursor = "";
    for (int page = 0; page < MOST_PAGES; page++) {
      JsonNode listed = page("asc", cursor);
      for (JsonNode event : listed.path("data")) {
        SessionEvent.of(event).ifPresent(events::add);
      }
      forgetAnswered(events);
      cursor = listed.path("next_page").asString("");
      if (cursor.isEmpty()) {
        return events;
      }
    }
    throw ProviderException.malformed("the session's history does not end", null);
  }

  /** Answers a call. */
  void answer(ToolCall call, ToolResult result) throws ProviderException, InterruptedException {
    Map<String, Object> event =
        Map.of(
            "type",
            call.isCustom() ? "user.custom_tool_result" : "user.tool_result",
            call.isCustom() ? "custom_tool_use_id" : "tool_use_id",
            call.id(),
            "is_error",
            result.isError(),
            "content",
            result.content());
    provider.json(
        credential,
        Call.post("/v1/sessions/" + id + "/events", Map.of("events", List.of(event))),
        PATIENCE);
  }

  /** Whether a call has an answer, from here or elsewhere. The answer is newer than the call. */
  boolean isAnswered(ToolCall call) throws ProviderException, InterruptedException {
    String cursor = "";
    for (int page = 0; page < MOST_PAGES; page++) {
      JsonNode listed = page("desc", cursor);
      boolean isCallSeen = false;
      for (JsonNode event : listed.path("data")) {
        switch (SessionEvent.of(event).orElseGet(SessionEvent.Other::new)) {
          case SessionEvent.Answered answered when answered.call().equals(call.id()) -> {
            return true;
          }
          case ToolCall other -> isCallSeen |= other.id().equals(call.id());
          default -> {}
        }
      }
      cursor = listed.path("next_page").asString("");
      if (isCallSeen || cursor.isEmpty()) {
        return false;
      }
    }
    return false;
  }

  private JsonNode page(String order, String cursor)
      throws ProviderException, InterruptedException {
    Call call =
        Call.get("/v1/sessions/" + id + "/events")
            .with("order", order)
            .with("limit", String.valueOf(PAGE));
    return provider.json(credential, cursor.isEmpty() ? call : call.with("page", cursor), PATIENCE);
  }

  /** The inputs of calls that are done need no room. */
  private static void forgetAnswered(List<SessionEvent> events) {
    Set<String> answered =
        events.stream()
            .filter(SessionEvent.Answered.class::isInstance)
            .map(event -> ((SessionEvent.Answered) event).call())
            .collect(Collectors.toSet());
    events.removeIf(event -> event instanceof ToolCall call && answered.contains(call.id()));
  }
}
