package dev.podflare.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.worker.SessionEvent.Permission;
import dev.podflare.worker.SessionEvent.ToolCall;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class CallLedgerTest {
  private final CallLedger ledger = new CallLedger(call -> call.name().equals("bash"));

  private static ToolCall call(String id, Permission permission) {
    return new ToolCall(id, "bash", Map.of(), permission, false, Optional.empty());
  }

  private void note(SessionEvent... events) throws ProviderException {
    for (SessionEvent event : events) {
      ledger.note(event);
    }
  }

  private String next() {
    return ledger.next().map(ToolCall::id).orElse("none");
  }

  @Test
  void calls_are_run_in_the_order_in_which_they_were_made() throws Exception {
    note(call("1", Permission.ALLOW), call("2", Permission.ALLOW));
    assertThat(next()).isEqualTo("1");
    ledger.close("1");
    assertThat(next()).isEqualTo("2");
    ledger.close("2");
    assertThat(next()).isEqualTo("none");
  }

  @Test
  void the_whole_history_read_again_brings_no_call_twice() throws Exception {
    List<SessionEvent> history =
        List.of(
            call("1", Permission.ALLOW),
            new SessionEvent.Answered("1"),
            call("2", Permission.ALLOW));
    for (SessionEvent event : history) {
      ledger.note(event);
    }
    ledger.close("2");
    for (SessionEvent event : history) {
      ledger.note(event);
    }
    assertThat(next()).isEqualTo("none");
  }

  @Test
  void a_call_whose_answer_was_read_before_it_is_not_run() throws Exception {
    note(new SessionEvent.Answered("1"), call("1", Permission.ALLOW));
    assertThat(next()).isEqualTo("none");
  }

  @Test
  void a_call_that_needs_a_decision_waits_and_others_pass_it() throws Exception {
    note(call("1", Permission.ASK), call("2", Permission.ALLOW));
    assertThat(next()).isEqualTo("2");
    ledger.close("2");
    assertThat(next()).isEqualTo("none");
    note(new SessionEvent.Idle(true));
    assertThat(ledger.isIdle()).isFalse();
    note(new SessionEvent.Verdict("1", true));
    assertThat(next()).isEqualTo("1");
  }

  @Test
  void a_decision_that_was_read_before_its_call_counts() throws Exception {
    note(new SessionEvent.Verdict("1", true), call("1", Permission.ASK));
    assertThat(next()).isEqualTo("1");
  }

  @Test
  void what_the_user_or_the_provider_denies_is_never_run() throws Exception {
    note(
        call("1", Permission.ASK),
        new SessionEvent.Verdict("1", false),
        new SessionEvent.Verdict("1", true),
        call("2", Permission.DENY),
        new SessionEvent.Verdict("2", true));
    assertThat(next()).isEqualTo("none");
    note(new SessionEvent.Idle(true));
    assertThat(ledger.isIdle()).isTrue();
  }

  @Test
  void the_calls_of_a_subagent_that_has_ended_are_not_run() throws Exception {
    ToolCall late =
        new ToolCall("2", "bash", Map.of(), Permission.ALLOW, false, Optional.of("thread"));
    note(
        new ToolCall("1", "bash", Map.of(), Permission.ALLOW, false, Optional.of("thread")),
        new SessionEvent.ThreadEnded("thread"),
        late);
    assertThat(next()).isEqualTo("none");
  }

  @Test
  void the_tools_of_others_are_neither_run_nor_waited_for() throws Exception {
    note(
        new ToolCall("1", "ask_the_bank", Map.of(), Permission.ALLOW, true, Optional.empty()),
        new SessionEvent.Idle(true));
    assertThat(next()).isEqualTo("none");
    assertThat(ledger.isIdle()).isTrue();
  }

  @Test
  void it_is_idle_only_between_the_end_of_a_turn_and_whatever_comes_next() throws Exception {
    assertThat(ledger.isIdle()).isFalse();
    note(new SessionEvent.Idle(false));
    assertThat(ledger.isIdle()).isFalse();
    note(new SessionEvent.Idle(true));
    assertThat(ledger.isIdle()).isTrue();
    note(new SessionEvent.ThreadEnded("thread"), new SessionEvent.Verdict("0", false));
    assertThat(ledger.isIdle()).isTrue();
    note(new SessionEvent.Other());
    assertThat(ledger.isIdle()).isFalse();
  }

  @Test
  void a_session_with_calls_without_end_is_refused() throws Exception {
    for (int i = 0; i < 256; i++) {
      ledger.note(call("c" + i, Permission.ALLOW));
    }
    assertThatThrownBy(() -> ledger.note(call("more", Permission.ALLOW)))
        .isInstanceOf(ProviderException.class)
        .hasMessageContaining("256");
  }
}
