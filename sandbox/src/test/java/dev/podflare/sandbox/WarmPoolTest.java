package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.engine.EngineException;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** A pool whose machines do not come. With those that do, it is in LocalSandboxesTest. */
class WarmPoolTest {

  private static EngineException failure() {
    return new EngineException(EngineException.Kind.FAILED, "no clone today");
  }

  @Test
  void a_pool_that_shall_hold_none_makes_none_and_is_ready() throws Exception {
    BlockingQueue<String> asked = new LinkedBlockingQueue<>();
    try (WarmPool pool =
        new WarmPool(
            "default",
            0,
            () -> {
              asked.add("once");
              throw failure();
            })) {
      assertThat(pool.awaitReady(Duration.ofSeconds(10))).isTrue();
      assertThat(pool.take()).isEmpty();
    }
    assertThat(asked).isEmpty();
  }

  @Test
  void taking_from_an_empty_pool_does_not_wait_and_is_a_miss() {
    CountDownLatch end = new CountDownLatch(1);
    try (WarmPool pool =
        new WarmPool(
            "default",
            2,
            () -> {
              end.await();
              throw failure();
            })) {
      assertThat(pool.take()).isEmpty();
      assertThat(pool.take()).isEmpty();
      assertThat(pool.counters()).isEqualTo(new Capacity.Pool("default", 0, 2, 0, 2));
      end.countDown();
    }
  }

  @Test
  void a_clone_that_can_not_be_made_is_tried_again_after_longer_and_longer_pauses()
      throws Exception {
    BlockingQueue<Long> times = new LinkedBlockingQueue<>();
    try (WarmPool pool =
        new WarmPool(
            "default",
            1,
            () -> {
              times.add(System.nanoTime());
              throw failure();
            })) {
      long first = times.poll(60, TimeUnit.SECONDS);
      long second = times.poll(60, TimeUnit.SECONDS);
      long third = times.poll(60, TimeUnit.SECONDS);
      assertThat(Duration.ofNanos(second - first)).isGreaterThan(Duration.ofMillis(245));
      assertThat(Duration.ofNanos(third - second)).isGreaterThan(Duration.ofMillis(495));
      assertThat(pool.counters().ready()).isZero();
    }
  }

  @Test
  void a_defect_in_making_a_clone_does_not_end_the_refilling() throws Exception {
    CountDownLatch asked = new CountDownLatch(2);
    try (WarmPool _ =
        new WarmPool(
            "default",
            1,
            () -> {
              asked.countDown();
              throw new IllegalStateException("a defect");
            })) {
      assertThat(asked.await(60, TimeUnit.SECONDS)).isTrue();
    }
  }

  @Test
  void waiting_for_a_machine_has_an_end_if_none_comes() throws Exception {
    try (WarmPool pool =
        new WarmPool(
            "default",
            1,
            () -> {
              throw failure();
            })) {
      assertThat(pool.awaitReady(Duration.ofMillis(50))).isFalse();
    }
  }

  @Test
  void closing_ends_a_pause_at_once() throws Exception {
    BlockingQueue<String> asked = new LinkedBlockingQueue<>();
    WarmPool pool =
        new WarmPool(
            "default",
            1,
            () -> {
              asked.add("once more");
              throw failure();
            });
    for (int pauses = 0; pauses < 6; pauses++) {
      assertThat(asked.poll(60, TimeUnit.SECONDS)).isNotNull();
    }
    // The pause is eight seconds by now.
    long before = System.nanoTime();
    pool.close();
    assertThat(Duration.ofNanos(System.nanoTime() - before)).isLessThan(Duration.ofSeconds(6));
    assertThat(asked).isEmpty();
  }
}
