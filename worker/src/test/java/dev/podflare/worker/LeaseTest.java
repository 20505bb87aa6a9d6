package dev.podflare.worker;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class LeaseTest {
  private static final String KEPT =
      """
      {"last_heartbeat": "%s", "lease_extended": true, "state": "active", "ttl_seconds": 10}
      """;

  private final ScriptedProvider scripted = new ScriptedProvider();
  private final Provider provider = new Provider(scripted.address());
  private final AtomicLong now = new AtomicLong();
  private final AtomicInteger ends = new AtomicInteger();
  private final Lease lease =
      new Lease(
          new WorkQueue(
              provider,
              "env_1",
              EnvironmentKey.of(null, Map.of(EnvironmentKey.VARIABLE, "the-key")),
              "worker"),
          new WorkItem("work_1", "session", "sesn_1", Optional.of("the-token")),
          now::get,
          ends::incrementAndGet);

  @AfterEach
  void close() {
    provider.close();
    scripted.close();
  }

  @Test
  void each_heartbeat_shows_the_one_before_with_the_items_own_credential() throws Exception {
    scripted.then(200, KEPT.formatted("one")).then(200, KEPT.formatted("t w o"));
    assertThat(lease.take()).isTrue();
    assertThat(lease.beat()).isTrue();
    assertThat(lease.last()).isEqualTo("t w o");
    assertThat(lease.interval()).isEqualTo(Duration.ofSeconds(5));
    String path = "/base/v1/environments/env_1/work/work_1/heartbeat?beta=true";
    assertThat(scripted.asked())
        .extracting(ScriptedProvider.Asked::target)
        .containsExactly(
            path + "&expected_last_heartbeat=NO_HEARTBEAT", path + "&expected_last_heartbeat=one");
    assertThat(scripted.asked())
        .allSatisfy(asked -> {
          assertThat(asked.credential()).isEqualTo("Bearer the-token");
          assertThat(asked.preview()).isEqualTo("managed-agents-2026-04-01");
        });
  }

  @Test
  void it_is_not_taken_when_another_worker_holds_it() throws Exception {
    scripted.then(412, "{\"error\": {\"message\": \"no\"}}");
    assertThat(lease.take()).isFalse();
    assertThat(lease.end()).contains(Lease.End.LOST);
    assertThat(ends).hasValue(1);
  }

  @Test
  void it_ends_when_the_provider_stops_the_work() throws Exception {
    scripted
        .then(200, KEPT.formatted("one"))
        .then(200, "{\"last_heartbeat\":\"two\",\"lease_extended\":true,\"state\":\"stopping\"}");
    assertThat(lease.take()).isTrue();
    assertThat(lease.beat()).isTrue();
    assertThat(lease.end()).contains(Lease.End.STOPPED);
  }

  @Test
  void heartbeats_that_fail_end_it_only_after_its_time() throws Exception {
    scripted.then(200, KEPT.formatted("one")).then(503, "").then(500, "");
    assertThat(lease.take()).isTrue();
    now.addAndGet(Duration.ofSeconds(10).toNanos());
    assertThat(lease.beat()).isFalse();
    assertThat(lease.end()).isEmpty();
    now.addAndGet(1);
    assertThat(lease.beat()).isFalse();
    assertThat(lease.end()).contains(Lease.End.LOST);
  }

  @Test
  void heartbeats_that_are_refused_end_it_at_once() throws Exception {
    scripted.then(200, KEPT.formatted("one")).then(401, "");
    assertThat(lease.take()).isTrue();
    assertThat(lease.beat()).isFalse();
    assertThat(lease.end()).contains(Lease.End.REJECTED);
  }

  @Test
  void to_release_it_is_no_surprise_to_its_owner() throws Exception {
    scripted.then(200, KEPT.formatted("one"));
    assertThat(lease.take()).isTrue();
    lease.release();
    assertThat(lease.awaitEnd(Duration.ZERO)).isTrue();
    assertThat(ends).hasValue(0);
  }
}
