package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class BuildEventsTest {

  private static final Duration LONG = Duration.ofSeconds(60);
  private static final ExecEvent.Exit EXIT =
      new ExecEvent.Exit(0, ExecEvent.Reason.OK, true, Duration.ofSeconds(1));

  private final BuildEvents events = new BuildEvents(InstantSource.system());

  private static ExecEvent.Stdout text(int length) {
    return new ExecEvent.Stdout("x".repeat(length));
  }

  private List<ExecEvent> next() throws InterruptedException {
    return events.next().stream().map(ToldEvent::event).toList();
  }

  @Test
  void what_is_said_is_read_in_order_and_nothing_comes_after_the_end() throws Exception {
    assertThat(events.say(text(1), LONG)).isTrue();
    assertThat(events.say(text(2), LONG)).isTrue();
    assertThat(next()).containsExactly(text(1), text(2));
    events.end(List.of(text(3), EXIT));
    assertThat(next()).containsExactly(text(3), EXIT);
    assertThat(next()).isEmpty();
  }

  @Test
  void events_are_counted_from_0() throws Exception {
    events.say(text(1), LONG);
    events.end(List.of(EXIT));
    assertThat(events.next().stream().map(ToldEvent::seq)).containsExactly(0L, 1L);
  }

  @Test
  void who_says_much_waits_for_the_reader_and_gives_up_in_time() throws Exception {
    assertThat(events.say(text(300_000), LONG)).isTrue();
    assertThat(events.say(text(1), Duration.ofMillis(30))).isFalse();
    CompletableFuture<Boolean> said =
        CompletableFuture.supplyAsync(() -> {
          try {
            return events.say(text(2), LONG);
          } catch (InterruptedException e) {
            throw new IllegalStateException(e);
          }
        });
    assertThat(next()).hasSize(1);
    assertThat(said.get(60, TimeUnit.SECONDS)).isTrue();
    assertThat(next()).containsExactly(text(2));
  }

  @Test
  void nobody_waits_for_a_reader_that_has_gone() throws Exception {
    assertThat(events.say(text(300_000), LONG)).isTrue();
    events.close();
    for (int i = 0; i < 10; i++) {
      assertThat(events.say(text(300_000), Duration.ZERO)).isTrue();
    }
    events.end(List.of(EXIT));
    assertThat(next()).isEmpty();
  }

  @Test
  void the_end_needs_no_room_and_wakes_a_reader() throws Exception {
    assertThat(events.say(text(300_000), LONG)).isTrue();
    events.end(List.of(EXIT));
    List<ExecEvent> all = next();
    assertThat(all.getLast()).isEqualTo(EXIT);
  }
}
