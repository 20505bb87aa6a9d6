package dev.podflare.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.podflare.worker.Provider.Call;
import dev.podflare.worker.SessionEvent.Permission;
import dev.podflare.worker.SessionEvent.ToolCall;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(30)
class ProviderTest {
  private static final Duration LONG = Duration.ofSeconds(20);

  private final ScriptedProvider scripted = new ScriptedProvider();
  private final Provider provider = new Provider(scripted.address());

  @AfterEach
  void close() {
    provider.close();
    scripted.close();
  }

  private ProviderException failure() {
    return catchThrowableOfType(
        ProviderException.class, () -> provider.json("secret", Call.get("/v1/x"), LONG));
  }

  @ParameterizedTest
  @CsvSource({
    "400, true, false",
    "401, true, false",
    "404, true, false",
    "302, true, false",
    "408, false, true",
    "409, false, false",
    "429, false, false",
    "500, false, true",
    "529, false, true"
  })
  void what_is_tried_again_follows_from_the_status(
      int status, boolean isFinal, boolean isOutcomeUnknown) {
    scripted.then(status, "{\"error\": {\"message\": \"it\\u001b[31m says why\"}}", "7");
    ProviderException failure = failure();
    assertThat(failure.isFinal()).isEqualTo(isFinal);
    assertThat(failure.isOutcomeUnknown()).isEqualTo(isOutcomeUnknown);
    assertThat(failure.retryAfter()).contains(Duration.ofSeconds(7));
    assertThat(failure).hasMessage("the provider answered " + status + ": it?[31m says why");
  }

  @Test
  void a_connection_that_breaks_leaves_the_outcome_open_and_no_key_in_the_message() {
    ProviderException failure = failure();
    assertThat(failure.isFinal()).isFalse();
    assertThat(failure.isOutcomeUnknown()).isTrue();
    assertThat(failure).hasMessageContaining("can't be reached").hasMessageNotContaining("secret");
  }

  @Test
  void what_is_not_json_is_not_asked_for_again() {
    scripted.then(200, "<html>");
    assertThat(failure().isFinal()).isTrue();
  }

  @Test
  void an_empty_answer_to_a_poll_is_no_work() throws Exception {
    WorkQueue queue =
        new WorkQueue(
            provider,
            "env_1",
            EnvironmentKey.of(null, Map.of(EnvironmentKey.VARIABLE, "key")),
            "worker");
    scripted.then(200, "null").then(200, "").then(204, "");
    for (int i = 0; i < 3; i++) {
      assertThat(queue.poll()).isEmpty();
    }
    assertThat(scripted.asked().getFirst().target())
        .isEqualTo("/base/v1/environments/env_1/work/poll?beta=true&block_ms=999");
  }

  @Test
  void the_history_is_read_page_by_page() throws Exception {
    scripted
        .then(200, "{\"data\": [{\"type\": \"agent.message\"}], \"next_page\": \"p/2\"}")
        .then(200, "{\"data\": [{\"type\": \"session.deleted\"}], \"next_page\": null}");
    Session session = new Session(provider, "sesn_1", "token");
    assertThat(session.history())
        .containsExactly(new SessionEvent.Other(), new SessionEvent.Ended());
    assertThat(scripted.asked().getLast().target()).endsWith("limit=50&order=asc&page=p%2F2");
  }

  @Test
  void whether_a_call_has_its_answer_is_looked_up_backwards_as_far_as_the_call() throws Exception {
    Session session = new Session(provider, "sesn_1", "token");
    ToolCall call = new ToolCall("c1", "bash", Map.of(), Permission.ALLOW, false, Optional.empty());
    String asked = "{\"type\": \"agent.tool_use\", \"id\": \"c1\", \"name\": \"bash\"}";
    String answered = "{\"type\": \"user.tool_result\", \"tool_use_id\": \"c1\"}";
    scripted.then(200, "{\"data\": [" + answered + "," + asked + "], \"next_page\": \"more\"}");
    assertThat(session.isAnswered(call)).isTrue();
    scripted.then(200, "{\"data\": [" + asked + "], \"next_page\": \"more\"}");
    assertThat(session.isAnswered(call)).isFalse();
    assertThat(scripted.asked()).hasSize(2);
  }

  @Test
  void an_answer_that_is_late_is_not_waited_for() {
    assertThatThrownBy(
            () -> new Provider(scripted.address()).json("s", Call.get("/"), Duration.ZERO))
        .isInstanceOf(ProviderException.class)
        .hasMessageContaining("within 0 s");
  }
}
