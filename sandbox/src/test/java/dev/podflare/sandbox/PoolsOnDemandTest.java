package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.engine.MachineShape;
import dev.podflare.guest.ResyncToken;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Which pools there are. That a create finds a machine in one, e2e proves. */
class PoolsOnDemandTest {

  private static final long PER_SANDBOX = 128L << 20;
  private static final ResyncToken RESYNC = ResyncToken.parse("ff" + "81".repeat(31));

  private final AtomicLong available = new AtomicLong(64L << 30);
  private final BlockingQueue<Machine> made = new LinkedBlockingQueue<>();
  private final Timer timer = new Timer();
  private final PoolsOnDemand pools = new PoolsOnDemand(room(), timer);

  private Room room() {
    return new Room(
        new HostMemory() {
          @Override
          public long total() {
            return 64L << 30;
          }

          @Override
          public long available() {
            return available.get();
          }
        },
        new HostLimits(
            new MachineShape(1, 512, 1024),
            new MachineShape(2, 1024, 2048),
            Duration.ofMinutes(5),
            Duration.ofMinutes(10),
            Duration.ofMinutes(10),
            Map.of(),
            0,
            PER_SANDBOX));
  }

  @AfterEach
  void close() {
    pools.close();
    timer.close();
  }

  private static Machine machine() {
    return new Machine(
        SandboxId.random(), new ScriptedMicroVm(), RESYNC, 0, Line.ORIGIN, Clock.systemUTC());
  }

  private Machine make() {
    Machine machine = machine();
    made.add(machine);
    return machine;
  }

  private TemplateId begun() {
    TemplateId id = TemplateId.random();
    pools.begin(id, "mine", this::make, Optional.empty());
    return id;
  }

  private Machine nextMade() throws InterruptedException {
    Machine machine = made.poll(60, TimeUnit.SECONDS);
    assertThat(machine).as("a machine that waits").isNotNull();
    return machine;
  }

  @Test
  void a_template_that_nobody_used_has_no_pool_and_one_that_is_used_has_one() throws Exception {
    TemplateId id = TemplateId.random();
    assertThat(pools.counters()).isEmpty();
    assertThat(pools.take(id)).isEmpty();
    Machine first = machine();
    pools.begin(id, "mine", this::make, Optional.of(first));
    assertThat(pools.take(id)).contains(first);
    nextMade();
    Capacity.Pool counters = pools.counters().orElseThrow();
    assertThat(counters.template()).isEqualTo("custom");
    assertThat(counters.hits()).isEqualTo(1);
    assertThat(counters.misses()).isEqualTo(1);
  }

  @Test
  void one_that_is_there_already_is_not_begun_again_and_a_machine_too_many_ends() {
    TemplateId id = begun();
    Machine unused = machine();
    pools.begin(id, "mine", this::make, Optional.of(unused));
    assertThat(unused.hasEnded()).isTrue();
    assertThat(pools.counters().orElseThrow().target()).isEqualTo(1);
  }

  @Test
  void a_machine_does_not_wait_where_somebody_else_would_find_no_room() throws Exception {
    available.set(PER_SANDBOX * 3 / 2);
    begun();
    assertThat(pools.counters()).isEmpty();
    available.set(PER_SANDBOX * 2);
    TemplateId id = begun();
    nextMade();
    available.set(PER_SANDBOX * 3 / 2);
    assertThat(pools.take(id)).isPresent();
    long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    while (pools.counters().orElseThrow().target() > 0) {
      assertThat(System.nanoTime()).as("the pool ends").isLessThan(deadline);
      Thread.sleep(5);
    }
    assertThat(made).isEmpty();
  }

  @Test
  void beyond_eight_the_one_that_was_unused_for_longest_goes() throws Exception {
    List<TemplateId> ids = new ArrayList<>();
    List<Machine> waiting = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      ids.add(begun());
      waiting.add(nextMade());
    }
    pools.take(ids.getFirst()).orElseThrow().close();
    nextMade();
    begun();
    nextMade();
    assertThat(waiting.get(1).exit().get(60, TimeUnit.SECONDS)).isNotNull();
    assertThat(waiting.get(2).hasEnded()).isFalse();
    assertThat(pools.counters().orElseThrow().target()).isEqualTo(8);
  }

  @Test
  void what_waits_for_a_template_that_is_gone_ends_and_so_does_all_when_memory_is_short()
      throws Exception {
    TemplateId id = begun();
    Machine waiting = nextMade();
    begun();
    Machine other = nextMade();
    pools.end(id);
    assertThat(waiting.hasEnded()).isTrue();
    assertThat(other.hasEnded()).isFalse();
    pools.endAll();
    assertThat(other.hasEnded()).isTrue();
    begun();
    nextMade();
    pools.close();
    pools.begin(TemplateId.random(), "mine", this::make, Optional.empty());
    assertThat(made.poll(50, TimeUnit.MILLISECONDS)).isNull();
  }
}
