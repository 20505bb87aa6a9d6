package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.sandbox.OnceKey;
import java.net.http.HttpRequest;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class OnceCallsTest {

  private static final String SANDBOXES = "/v1/sandboxes";

  private RunningServer server;

  @BeforeEach
  void start() throws Exception {
    server = RunningServer.withKeys();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  private RunningServer.Answer post(String path, String body, String... keys) throws Exception {
    HttpRequest.Builder request =
        server.request(path).POST(HttpRequest.BodyPublishers.ofString(body));
    for (String key : keys) {
      request.header("Idempotency-Key", key);
    }
    return server.send(request);
  }

  private static boolean isReplayed(RunningServer.Answer answer) {
    return answer.headers().firstValue("Idempotency-Replayed").isPresent();
  }

  private void assertMadeOnce(String path, String body) throws Exception {
    RunningServer.Answer first = post(path, body, "a");
    RunningServer.Answer again = post(path, body, "a");

    assertThat(first.status()).isEqualTo(200);
    assertThat(isReplayed(first)).isFalse();
    assertThat(again.status()).isEqualTo(200);
    assertThat(again.body()).isEqualTo(first.body());
    assertThat(isReplayed(again)).isTrue();
  }

  @Test
  void whatMakesASandboxIsDoneOnce() throws Exception {
    String id = server.create();
    String space = server.post(SANDBOXES + "/" + server.create() + "/freeze", "").text("space");

    assertMadeOnce(SANDBOXES, "{\"cpus\":1}");
    assertMadeOnce(SANDBOXES + "/" + id + "/fork", "{\"n\":2}");
    assertMadeOnce("/v1/spaces/" + space + "/resume", "");

    assertThat(server.get("/metrics").body())
        .contains("podflare_sandboxes_created_total 3.0")
        .contains("podflare_forks_total 1.0")
        .contains("podflare_resumes_total 1.0");
  }

  @Test
  void aKeyBelongsToWhoCallsAndToWhatIsSaidWhere() throws Exception {
    String id = server.create();
    post(SANDBOXES, "{\"cpus\": 1, \"env\": {}}", "a");
    post(SANDBOXES, "{\"cpus\":1,\"env\":{}}", "b");
    post(SANDBOXES, "{\"cpus\":2,\"env\":{}}", "c");
    post(SANDBOXES + "/" + id + "/fork", "", "d");

    List<OnceKey> keys = List.copyOf(server.sandboxes.onceKeys);
    assertThat(keys).extracting(OnceKey::key).containsExactly("a", "b", "c", "d");
    assertThat(keys).extracting(OnceKey::owner).containsOnly(keys.getFirst().owner());
    assertThat(keys.get(0).body()).isEqualTo(keys.get(1).body()).isNotEqualTo(keys.get(2).body());
    assertThat(keys.get(2).path()).isEqualTo(SANDBOXES);
    assertThat(keys.get(3).path()).isEqualTo(SANDBOXES + "/" + id + "/fork");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "two words"})
  void whatIsNoKeyIsRefused(String key) throws Exception {
    RunningServer.Answer answer = post(SANDBOXES, "{}", key);

    assertThat(answer.status()).isEqualTo(400);
    assertThat(answer.text("code")).isEqualTo("bad_idempotency_key");
    assertThat(server.sandboxes.created).isEmpty();
  }

  @Test
  void aKeyIsNotTooLongAndIsThereOnce() throws Exception {
    assertThat(post(SANDBOXES, "{}", "x".repeat(255)).status()).isEqualTo(200);
    assertThat(post(SANDBOXES, "{}", "x".repeat(256)).status()).isEqualTo(400);
    assertThat(post(SANDBOXES, "{}", "a", "b").status()).isEqualTo(400);
  }
}
