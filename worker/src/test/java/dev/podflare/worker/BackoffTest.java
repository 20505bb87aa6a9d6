package dev.podflare.worker;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;

class BackoffTest {
  private final Backoff backoff =
      new Backoff(Duration.ofSeconds(1), Duration.ofSeconds(60), new Random(1));

  @Test
  void each_wait_is_up_to_twice_as_long_as_the_one_before_and_never_above_the_limit() {
    for (int attempt = 0; attempt < 100; attempt++) {
      Duration whole = Duration.ofSeconds(Math.min(60, 1L << Math.min(attempt, 10)));
      assertThat(backoff.next(Optional.empty())).isBetween(whole.dividedBy(2), whole);
    }
  }

  @Test
  void after_a_success_waits_are_short_again() {
    for (int attempt = 0; attempt < 10; attempt++) {
      backoff.next(Optional.empty());
    }
    backoff.reset();
    assertThat(backoff.next(Optional.empty())).isLessThanOrEqualTo(Duration.ofSeconds(1));
  }

  @Test
  void what_the_provider_asks_is_waited_but_not_for_hours() {
    assertThat(backoff.next(Optional.of(Duration.ofSeconds(30)))).isEqualTo(Duration.ofSeconds(30));
    assertThat(backoff.next(Optional.of(Duration.ofDays(3)))).isEqualTo(Duration.ofMinutes(5));
  }
}
