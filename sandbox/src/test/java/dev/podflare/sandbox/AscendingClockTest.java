package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class AscendingClockTest {

  private static final Instant NOON = Instant.parse("2026-01-01T12:00:00Z");

  private final AtomicReference<Instant> time = new AtomicReference<>(NOON);
  private final AscendingClock clock = new AscendingClock(time::get);

  @Test
  void momentsOfOneMillisecondFollowEachOther() {
    List<Instant> told = Stream.generate(clock::instant).limit(3).toList();
    assertThat(told).containsExactly(NOON, NOON.plusMillis(1), NOON.plusMillis(2));
    time.set(NOON.plusSeconds(1));
    assertThat(clock.instant()).isEqualTo(NOON.plusSeconds(1));
  }

  @Test
  void momentsAreWholeMilliseconds() {
    time.set(NOON.plusNanos(1_999_999));
    assertThat(clock.instant()).isEqualTo(NOON.plusMillis(1));
  }

  @Test
  void aSmallStepBackOfTheClockChangesNoOrder() {
    assertThat(clock.instant()).isEqualTo(NOON);
    time.set(NOON.minusMillis(500));
    assertThat(clock.instant()).isEqualTo(NOON.plusMillis(1));
  }

  @Test
  void aClockThatIsSetBackIsFollowed() {
    assertThat(clock.instant()).isEqualTo(NOON);
    Instant setBack = NOON.minus(Duration.ofHours(1));
    time.set(setBack);
    assertThat(clock.instant()).isEqualTo(setBack);
  }
}
