package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class TurnsTest {

  private final Turns turns = new Turns();

  private static CompletableFuture<Boolean> await(Turns.Place place) {
    CompletableFuture<Boolean> came = new CompletableFuture<>();
    Thread.ofVirtual()
        .start(() -> {
          try {
            came.complete(place.await());
          } catch (InterruptedException e) {
            came.completeExceptionally(e);
          }
        });
    return came;
  }

  @Test
  void the_order_is_that_of_the_line_whoever_waits_first() throws Exception {
    List<Integer> order = Collections.synchronizedList(new ArrayList<>());
    assertThat(turns.queue().await()).isTrue();
    Turns.Place second = turns.queue();
    Turns.Place third = turns.queue();
    var last = await(third).thenRun(() -> order.add(3));
    var first = await(second).thenRun(() -> order.add(2));
    turns.release();
    first.get(60, TimeUnit.SECONDS);
    turns.release();
    last.get(60, TimeUnit.SECONDS);
    assertThat(order).containsExactly(2, 3);
  }

  @Test
  void a_place_that_is_given_up_is_passed_over_and_its_waiter_learns_it() throws Exception {
    assertThat(turns.queue().await()).isTrue();
    Turns.Place second = turns.queue();
    Turns.Place third = turns.queue();
    CompletableFuture<Boolean> waiter = await(second);
    second.giveUp();
    assertThat(waiter.get(60, TimeUnit.SECONDS)).isFalse();
    turns.release();
    assertThat(third.await()).isTrue();
    assertThat(turns.tryTake()).isFalse();
    turns.release();
    assertThat(turns.tryTake()).isTrue();
  }

  @Test
  void a_turn_that_has_come_can_not_be_given_up() throws Exception {
    Turns.Place place = turns.queue();
    place.giveUp();
    assertThat(place.await()).isTrue();
  }

  @Test
  void who_is_interrupted_or_waits_too_long_leaves_the_line() throws Exception {
    assertThat(turns.tryTake()).isTrue();
    assertThat(turns.queue().await(Duration.ofMillis(5))).isFalse();
    Turns.Place place = turns.queue();
    Thread waiter =
        Thread.ofVirtual()
            .start(() -> {
              try {
                place.await();
              } catch (InterruptedException expected) {
                Thread.currentThread().interrupt();
              }
            });
    waiter.interrupt();
    assertThat(waiter.join(Duration.ofSeconds(60))).isTrue();
    turns.release();
    assertThat(turns.tryTake()).isTrue();
  }

  @Test
  void a_place_is_kept_by_who_waits_in_it_for_a_while_only() throws Exception {
    assertThat(turns.queue().await()).isTrue();
    Turns.Place second = turns.queue();
    assertThat(second.settlesWithin(Duration.ofMillis(1))).isFalse();
    turns.release();
    assertThat(second.settlesWithin(Duration.ZERO)).isTrue();
    assertThat(second.await()).isTrue();
    Turns.Place third = turns.queue();
    third.giveUp();
    assertThat(third.settlesWithin(Duration.ofMinutes(1))).isTrue();
    assertThat(third.await()).isFalse();
  }
}
