package dev.podflare.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.worker.SessionEvent.Permission;
import dev.podflare.worker.SessionEvent.ToolCall;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SessionEventTest {
  private static SessionEvent event(String json) throws ProviderException {
    return SessionEvent.of(Json.read(json.getBytes(StandardCharsets.UTF_8))).orElseThrow();
  }

  @Test
  void a_call_has_its_input_and_whether_it_may_run() throws Exception {
    ToolCall call =
        (ToolCall)
            event(
                """
                {"type": "agent.tool_use", "id": "sevt_1", "name": "bash",
                 "input": {"command": "ls", "timeout_ms": 5}, "evaluated_permission": "allow"}
                """);
    assertThat(call.input()).isEqualTo(Map.of("command", "ls", "timeout_ms", 5));
    assertThat(call.permission()).isEqualTo(Permission.ALLOW);
    assertThat(call.isCustom()).isFalse();
  }

  @Test
  void a_permission_that_is_not_known_is_asked_for() throws Exception {
    ToolCall call =
        (ToolCall)
            event(
                """
                {"type": "agent.tool_use", "id": "1", "name": "bash", "input": {},
                 "evaluated_permission": "perhaps"}
                """);
    assertThat(call.permission()).isEqualTo(Permission.ASK);
  }

  @Test
  void a_verdict_that_is_not_known_denies() throws Exception {
    assertThat(
            event("{\"type\":\"user.tool_confirmation\",\"tool_use_id\":\"1\",\"result\":\"ok\"}"))
        .isEqualTo(new SessionEvent.Verdict("1", false));
  }

  @Test
  void only_a_session_that_needs_an_action_is_in_the_middle_of_its_turn() throws Exception {
    assertThat(
            event(
                """
                {"type": "session.status_idle", "stop_reason": {"type": "requires_action"}}
                """))
        .isEqualTo(new SessionEvent.Idle(false));
    assertThat(event("{\"type\":\"session.status_idle\",\"stop_reason\":{\"type\":\"new\"}}"))
        .isEqualTo(new SessionEvent.Idle(true));
  }

  @Test
  void what_is_not_known_is_something_else_that_happened() throws Exception {
    assertThat(event("{\"type\":\"agent.dances\"}")).isEqualTo(new SessionEvent.Other());
  }

  @ParameterizedTest
  @ValueSource(strings = {"../../x", "a b", "", "a/b", "a?b", "é"})
  void an_id_that_could_lead_elsewhere_is_refused(String id) {
    assertThatThrownBy(() ->
            event("{\"type\":\"agent.tool_use\",\"name\":\"bash\",\"id\":\"%s\"}".formatted(id)))
        .isInstanceOf(ProviderException.class)
        .hasMessageContaining("is no id");
  }

  @Test
  void what_the_provider_says_can_not_forge_a_line_of_the_log() {
    assertThat(Json.said("a\nb\u001b[31m" + "x".repeat(1000)))
        .startsWith("a?b?[31mx")
        .hasSize(301)
        .endsWith("…");
  }
}
