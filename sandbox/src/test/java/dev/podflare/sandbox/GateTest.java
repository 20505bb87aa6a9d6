package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class GateTest {

  private static final Duration LONG = Duration.ofSeconds(60);

  private final Gate gate = new Gate();

  @Test
  void many_are_inside_together() throws Exception {
    try (Gate.Pass _ = gate.enter();
        Gate.Pass _ = gate.enter()) {
      assertThat(gate.enterAlone(Duration.ZERO)).isEmpty();
    }
    assertThat(gate.enterAlone(Duration.ZERO)).isPresent();
  }

  @Test
  void leaving_twice_lets_nobody_in_who_may_not() throws Exception {
    Gate.Pass twice = gate.enter();
    try (Gate.Pass _ = gate.enter()) {
      twice.close();
      twice.close();
      assertThat(gate.enterAlone(Duration.ZERO)).isEmpty();
    }
  }

  @Test
  void who_waits_to_be_alone_comes_before_those_who_came_later() throws Exception {
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Gate.Pass inside = gate.enter();
      Future<Optional<Gate.Pass>> alone = threads.submit(() -> gate.enterAlone(LONG));
      while (!gate.hasWaiting()) {
        Thread.onSpinWait();
      }
      Future<Gate.Pass> later = threads.submit(gate::enter);
      assertThat(later.state()).isEqualTo(Future.State.RUNNING);
      inside.close();
      Gate.Pass first = alone.get(60, TimeUnit.SECONDS).orElseThrow();
      assertThat(later.state()).isEqualTo(Future.State.RUNNING);
      first.close();
      later.get(60, TimeUnit.SECONDS).close();
    }
  }

  @Property(tries = 20)
  void whoever_is_alone_is_alone(@ForAll @Size(min = 2, max = 20) List<Boolean> wishes)
      throws Exception {
    AtomicInteger inside = new AtomicInteger();
    AtomicInteger alone = new AtomicInteger();
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<?>> all = new ArrayList<>();
      for (boolean wish : wishes) {
        all.add(
            threads.submit(() -> {
              try (Gate.Pass _ = wish ? gate.enterAlone(LONG).orElseThrow() : gate.enter()) {
                (wish ? alone : inside).incrementAndGet();
                LockSupport.parkNanos(1000);
                assertThat(alone.get()).isLessThanOrEqualTo(1);
                assertThat(alone.get() == 0 || inside.get() == 0).isTrue();
                (wish ? alone : inside).decrementAndGet();
              }
              return null;
            }));
      }
      for (Future<?> one : all) {
        one.get(60, TimeUnit.SECONDS);
      }
    }
  }
}
