package dev.podflare.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import org.junit.jupiter.api.Test;

class WorkItemTest {
  private static WorkItem item(String secret) throws ProviderException {
    String json =
        """
        {"id": "work_1", "data": {"type": "session", "id": "sesn_1"}, "secret": %s}
        """
            .formatted(secret);
    return WorkItem.of(Json.read(json.getBytes(StandardCharsets.UTF_8)));
  }

  private static String encoded(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    return "\"" + Base64.getUrlEncoder().withoutPadding().encodeToString(bytes) + "\"";
  }

  @Test
  void the_token_is_in_the_secret_with_padding_or_without() throws Exception {
    String payload = "{\"sessions_token\": \"sk-ant-req-1\", \"more\": \">>>???\"}";
    assertThat(item(encoded(payload)).token()).contains("sk-ant-req-1");
    byte[] bytes = payload.getBytes(StandardCharsets.UTF_8);
    assertThat(item("\"" + Base64.getEncoder().encodeToString(bytes) + "\"").token())
        .contains("sk-ant-req-1");
  }

  @Test
  void without_a_usable_secret_there_is_no_token() throws Exception {
    assertThat(item("null").token()).isEmpty();
    assertThat(item("\"%%%\"").token()).isEmpty();
    assertThat(item(encoded("[]")).token()).isEmpty();
    assertThat(item(encoded("{\"sessions_token\": \"\"}")).token()).isEmpty();
    assertThat(item(encoded("{\"sessions_token\": \"a\\r\\nHost: b\"}")).token()).isEmpty();
  }

  @Test
  void it_does_not_tell_its_token() throws Exception {
    assertThat(item(encoded("{\"sessions_token\": \"sk-ant-req-1\"}")).toString())
        .doesNotContain("sk-ant-req-1")
        .contains("work_1", "sesn_1");
  }

  @Test
  void ids_that_are_none_are_refused() {
    assertThatThrownBy(
            () -> WorkItem.of(Json.read("{\"id\": \"../x\"}".getBytes(StandardCharsets.UTF_8))))
        .isInstanceOf(ProviderException.class);
  }
}
