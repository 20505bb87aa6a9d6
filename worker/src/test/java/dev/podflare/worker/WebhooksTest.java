package dev.podflare.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.Base64;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(30)
class WebhooksTest {
  private static final Instant NOW = Instant.ofEpochSecond(1_790_000_000);

  /** Bytes whose base64 differs in the two alphabets. */
  private static final byte[] SECRET = new byte[32];

  static {
    Arrays.fill(SECRET, (byte) 0xFB);
  }

  private static final String TEXT = "whsec_" + Base64.getEncoder().encodeToString(SECRET);
  private static final String STARTED =
      "{\"type\": \"event\", \"data\": {\"type\": \"session.status_run_started\", \"id\": \"s\"}}";

  @TempDir private Path folder;

  private final AtomicInteger rings = new AtomicInteger();
  private Webhooks webhooks;

  @BeforeEach
  void listen() throws Exception {
    WebhookKey key = WebhookKey.of(null, Map.of(WebhookKey.VARIABLE, TEXT));
    webhooks =
        new Webhooks(WebhookEndpoint.of("127.0.0.1:0", key), () -> NOW, rings::incrementAndGet);
  }

  @AfterEach
  void close() {
    webhooks.close();
  }

  private static String signature(String id, long time, String body) throws Exception {
    Mac mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(SECRET, "HmacSHA256"));
    byte[] signed = mac.doFinal((id + "." + time + "." + body).getBytes(StandardCharsets.UTF_8));
    return "v1," + Base64.getEncoder().encodeToString(signed);
  }

  private int deliver(String id, long time, String signature, String body) throws Exception {
    return send("POST", "/webhook", id, time, signature, body);
  }

  private int send(String method, String path, String id, long time, String signature, String body)
      throws Exception {
    try (HttpClient client = HttpClient.newHttpClient()) {
      HttpRequest request =
          HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + webhooks.port() + path))
              .header("webhook-id", id)
              .header("webhook-timestamp", String.valueOf(time))
              .header("webhook-signature", signature)
              .method(method, HttpRequest.BodyPublishers.ofString(body))
              .build();
      return client.send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
    }
  }

  @Test
  void a_session_that_begins_to_run_rings_once_however_often_it_is_told() throws Exception {
    long now = NOW.getEpochSecond();
    String signature = "v1,AAAA " + signature("m1", now, STARTED);
    assertThat(deliver("m1", now, signature, STARTED)).isEqualTo(204);
    assertThat(deliver("m1", now, signature, STARTED)).isEqualTo(204);
    assertThat(rings).hasValue(1);
    assertThat(deliver("m2", now, signature("m2", now, STARTED), STARTED)).isEqualTo(204);
    assertThat(rings).hasValue(2);
  }

  @Test
  void other_events_are_accepted_and_ring_nothing() throws Exception {
    String body = STARTED.replace("run_started", "idled");
    long now = NOW.getEpochSecond();
    assertThat(deliver("m1", now, signature("m1", now, body), body)).isEqualTo(204);
    assertThat(rings).hasValue(0);
  }

  @Test
  void what_is_not_signed_with_the_key_is_refused() throws Exception {
    long now = NOW.getEpochSecond();
    String good = signature("m1", now, STARTED);
    assertThat(deliver("m1", now, "", STARTED)).isEqualTo(401);
    assertThat(deliver("m1", now, "v1,!", STARTED)).isEqualTo(401);
    assertThat(deliver("m1", now, good.replace("v1,", "v2,"), STARTED)).isEqualTo(401);
    assertThat(deliver("m1", now, good, STARTED + " ")).isEqualTo(401);
    assertThat(deliver("m2", now, good, STARTED)).isEqualTo(401);
    assertThat(deliver("m1", now + 1, good, STARTED)).isEqualTo(401);
    assertThat(rings).hasValue(0);
  }

  @ParameterizedTest
  @ValueSource(longs = {-301, 301})
  void what_is_older_or_newer_than_five_minutes_is_refused(long offset) throws Exception {
    long time = NOW.getEpochSecond() + offset;
    assertThat(deliver("m1", time, signature("m1", time, STARTED), STARTED)).isEqualTo(401);
    long inTime = time - Long.signum(offset);
    assertThat(deliver("m1", inTime, signature("m1", inTime, STARTED), STARTED)).isEqualTo(204);
  }

  @Test
  void size_method_path_and_shape_are_checked() throws Exception {
    long now = NOW.getEpochSecond();
    String large = " ".repeat((64 << 10) + 1);
    assertThat(deliver("m1", now, signature("m1", now, large), large)).isEqualTo(413);
    assertThat(send("GET", "/webhook", "m1", now, "x", "")).isEqualTo(405);
    assertThat(send("POST", "/", "m1", now, "x", "")).isEqualTo(404);
    assertThat(deliver("m2", now, signature("m2", now, "<"), "<")).isEqualTo(400);
    assertThat(rings).hasValue(0);
  }

  @Test
  void the_key_is_taken_in_both_alphabets_and_does_not_tell_itself() throws Exception {
    String url = "whsec_" + Base64.getUrlEncoder().withoutPadding().encodeToString(SECRET);
    Path file = Files.writeString(folder.resolve("key"), url + "\n");
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
    WebhookKey key = WebhookKey.of(file, Map.of());
    byte[] body = STARTED.getBytes(StandardCharsets.UTF_8);
    assertThat(key.hasSigned("m", "1", body, signature("m", 1, STARTED))).isTrue();
    assertThat(key.toString()).doesNotContain(TEXT.substring(6));
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r--r--"));
    assertThatThrownBy(() -> WebhookKey.of(file, Map.of())).hasMessageContaining("chmod 600");
    assertThatThrownBy(() -> WebhookKey.of(null, Map.of()))
        .hasMessageContaining(WebhookKey.VARIABLE);
    assertThatThrownBy(() -> WebhookKey.of(null, Map.of(WebhookKey.VARIABLE, "whsec_c2hvcnQ=")))
        .hasMessageContaining("copy it again")
        .hasMessageNotContaining("c2hvcnQ");
  }

  @ParameterizedTest
  @ValueSource(strings = {"8090", "host", ":1", "127.0.0.1:70000", "a/b:1", "127.0.0.1:1x"})
  void an_address_that_is_none_is_refused(String address) {
    WebhookKey key = WebhookKey.of(null, Map.of(WebhookKey.VARIABLE, TEXT));
    assertThatThrownBy(() -> WebhookEndpoint.of(address, key))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("HOST:PORT");
    assertThat(WebhookEndpoint.of("[::1]:0", key).address().getAddress().isLoopbackAddress())
        .isTrue();
  }

  @Test
  void a_ring_before_the_wait_is_not_lost() throws Exception {
    Bell bell = new Bell();
    bell.ring();
    assertThat(bell.await(Duration.ofSeconds(10))).isTrue();
    assertThat(bell.await(Duration.ZERO)).isFalse();
  }
}
