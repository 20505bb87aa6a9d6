package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import net.jqwik.api.lifecycle.AfterProperty;
import net.jqwik.api.lifecycle.BeforeProperty;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class ExecLogTest {

  private static final Instant NOON = Instant.parse("2026-01-01T12:00:00Z");
  private static final ExecEvent.Exit EXIT =
      new ExecEvent.Exit(0, ExecEvent.Reason.OK, true, Duration.ofMillis(3));

  private ExecBlocks blocks;
  private ExecLog log;

  @BeforeEach
  @BeforeProperty
  void open() throws IOException {
    blocks = ExecBlocks.in(Path.of(System.getProperty("java.io.tmpdir")));
    log = new ExecLog(blocks, InstantSource.fixed(NOON), 0);
  }

  @AfterEach
  @AfterProperty
  void close() throws IOException {
    blocks.close();
  }

  private static ExecEvent text(int length) {
    return new ExecEvent.Stdout("é".repeat(length / 2) + "x".repeat(length % 2));
  }

  private List<ToldEvent> all(ExecLog.Cursor cursor) {
    List<ToldEvent> told = new ArrayList<>();
    for (List<ToldEvent> some = log.read(cursor); !some.isEmpty(); some = log.read(cursor)) {
      told.addAll(some);
    }
    return told;
  }

  private List<ToldEvent> from(long seq) {
    ExecLog.Cursor cursor = log.open(seq);
    try {
      return all(cursor);
    } finally {
      log.release();
    }
  }

  @Test
  void every_kind_of_event_is_told_again_as_it_was() {
    List<ExecEvent> events =
        List.of(
            new ExecEvent.Stdout("out \u0000 \ud83d\ude00\n"),
            new ExecEvent.Stderr("err"),
            new ExecEvent.Result(Map.of("text/plain", "1", "image/png", "aGk=")),
            new ExecEvent.Failure("ValueError", "", "Traceback…"),
            new ExecEvent.Waiting(Optional.of(ExecId.random())),
            new ExecEvent.Waiting(Optional.empty()),
            EXIT);
    List<ToldEvent> told = log.append(events);
    assertThat(told).extracting(ToldEvent::event).containsExactlyElementsOf(events);
    assertThat(told).extracting(ToldEvent::seq).containsExactly(0L, 1L, 2L, 3L, 4L, 5L, 6L);
    assertThat(from(0)).isEqualTo(told);
    assertThat(from(3)).isEqualTo(told.subList(3, 7));
    assertThat(from(99)).isEqualTo(told.subList(6, 7));
  }

  @Property(tries = 30)
  void what_is_read_is_what_was_told_however_long_the_events_are(
      @ForAll @Size(max = 60) List<@IntRange(min = 1, max = 90_000) Integer> lengths,
      @ForAll @IntRange(max = 70) int seq) {
    log = new ExecLog(blocks, InstantSource.fixed(NOON), 0);
    List<ToldEvent> told = new ArrayList<>();
    ExecLog.Cursor live = log.open(0);
    List<ToldEvent> heard = new ArrayList<>();
    for (int length : lengths) {
      told.addAll(log.append(List.of(text(length))));
      heard.addAll(log.read(live));
    }
    told.addAll(log.append(List.of(EXIT)));
    heard.addAll(all(live));
    assertThat(heard).isEqualTo(told);
    assertThat(from(seq)).isEqualTo(told.subList(Math.min(seq, told.size() - 1), told.size()));
    log.release();
    log.release();
    log.release();
    assertThat(blocks.count()).isZero();
  }

  @Test
  void what_is_dropped_is_a_gap_and_the_exit_is_never_lost() {
    for (int i = 0; i < 100; i++) {
      log.append(List.of(text(5_000)));
    }
    ExecLog.Cursor behind = log.open(0);
    assertThat(log.read(behind).getFirst().seq()).isZero();
    ExecLog.Cursor ahead = log.open(99);
    while (log.dropOldest()) {
      assertThat(log.firstSeq()).isPositive();
    }
    log.append(List.of(EXIT));
    long first = log.firstSeq();
    assertThat(from(0).getFirst().event()).isEqualTo(new ExecEvent.Gap(0, first - 1));
    assertThat(from(0).get(1).seq()).isEqualTo(first);
    assertThat(from(0).getLast().event()).isEqualTo(EXIT);
    assertThat(all(behind).getFirst().event()).isInstanceOf(ExecEvent.Gap.class);
    assertThat(all(ahead))
        .extracting(ToldEvent::event)
        .doesNotHaveAnyElementsOfTypes(ExecEvent.Gap.class);
    assertThat(from(first).getFirst().seq()).isEqualTo(first);
  }

  @Test
  void a_disk_that_fails_costs_output_and_nothing_else() throws Exception {
    log.append(List.of(text(3)));
    blocks.close();
    for (int i = 0; i < 20; i++) {
      log.append(List.of(text(5_000)));
    }
    List<ToldEvent> last = log.append(List.of(text(1_000), EXIT));
    List<ToldEvent> heard = from(0);
    assertThat(heard.getFirst().event()).isInstanceOf(ExecEvent.Gap.class);
    assertThat(heard.getLast()).isEqualTo(last.getLast());
  }

  @Test
  void what_has_ended_takes_little_memory() {
    log.append(List.of(text(20_000), EXIT));
    assertThat(blocks.count()).isEqualTo(1);
    assertThat(log.size()).isEqualTo(ExecBlocks.BLOCK);
    assertThat(from(0)).hasSize(2);
  }

  @Test
  void a_log_that_begins_later_says_what_is_missing() {
    ExecLog later = new ExecLog(blocks, InstantSource.fixed(NOON), 1000);
    later.append(List.of(text(3), EXIT));
    ExecLog.Cursor cursor = later.open(7);
    assertThat(later.read(cursor))
        .containsExactly(
            new ToldEvent(7, NOON, new ExecEvent.Gap(7, 999)),
            new ToldEvent(1000, NOON, text(3)),
            new ToldEvent(1001, NOON, EXIT));
  }

  @Test
  void one_writes_at_a_time_and_a_thread_that_waits_for_it_comes_first() throws Exception {
    assertThat(log.tryToWrite()).isFalse();
    CompletableFuture<Boolean> waiter = new CompletableFuture<>();
    Thread thread =
        Thread.ofVirtual()
            .start(() -> {
              try {
                waiter.complete(log.awaitWriting());
              } catch (InterruptedException e) {
                waiter.completeExceptionally(e);
              }
            });
    while (thread.getState() != Thread.State.WAITING) {
      Thread.onSpinWait();
    }
    log.stopWriting();
    assertThat(log.tryToWrite()).isFalse();
    assertThat(waiter.get(60, TimeUnit.SECONDS)).isTrue();
    log.stopWriting();
    assertThat(log.tryToWrite()).isTrue();
    log.append(List.of(EXIT));
    log.stopWriting();
    assertThat(log.tryToWrite()).isFalse();
    assertThat(log.awaitWriting()).isFalse();
  }

  @Test
  void a_reader_waits_until_there_is_something_to_read_or_to_write() throws Exception {
    ExecLog.Cursor cursor = log.open(0);
    assertThat(log.read(cursor)).isEmpty();
    log.await(cursor, Duration.ofMillis(5));
    Thread.ofVirtual().start(() -> log.append(List.of(text(1))));
    log.await(cursor, Duration.ofSeconds(10));
    assertThat(log.read(cursor)).hasSize(1);
    Thread.ofVirtual().start(log::stopWriting);
    log.await(cursor, Duration.ofSeconds(10));
    assertThat(log.tryToWrite()).isTrue();
  }
}
