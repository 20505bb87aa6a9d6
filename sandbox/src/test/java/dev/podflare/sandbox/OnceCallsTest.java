package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.Egress;
import dev.podflare.engine.Isolation;
import dev.podflare.engine.MachineShape;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class OnceCallsTest {

  private static final OnceKey KEY = new OnceKey("owner", "/v1/sandboxes", "k", "digest");

  private Instant now = Instant.parse("2026-01-01T12:00:00Z");
  private final AtomicInteger calls = new AtomicInteger();
  private Path directory;
  private Database database;
  private OnceCalls once;

  @BeforeEach
  void open() throws Exception {
    directory = Files.createTempDirectory("once");
    database = Database.open(directory.resolve("podflare.db"));
    once = new OnceCalls(database, () -> now);
  }

  @AfterEach
  void close() throws Exception {
    database.close();
    Directories.delete(directory);
  }

  private static SandboxInfo made(SandboxId id) {
    return SandboxInfo.whenNew(
        new SandboxRecord(
            id,
            "owner",
            "default",
            new MachineShape(1, 1024, 4096),
            new Egress.Outside(),
            Duration.ofMinutes(5),
            Optional.empty(),
            false,
            id,
            Optional.empty(),
            Map.of(),
            Instant.EPOCH),
        Isolation.EMULATED,
        0,
        Instant.EPOCH);
  }

  private Answered<SandboxId> call(OnceKey key) throws Exception {
    return once.answer(
        key,
        before -> before.made().getFirst(),
        () -> {
          calls.incrementAndGet();
          SandboxId id = SandboxId.random();
          var _ =
              database.atomically(() -> {
                once.write(key, List.of(made(id)), OnceCalls.ForkFigures.NONE);
                return id;
              });
          return id;
        });
  }

  @Test
  void what_was_made_is_answered_again_also_by_the_next_server() throws Exception {
    Answered<SandboxId> first = call(KEY);
    assertThat(first.before()).isFalse();
    assertThat(call(KEY)).isEqualTo(new Answered<>(first.what(), true));
    database.close();
    database = Database.open(directory.resolve("podflare.db"));
    once = new OnceCalls(database, () -> now);
    assertThat(call(KEY)).isEqualTo(new Answered<>(first.what(), true));
    assertThat(calls).hasValue(1);
  }

  @Test
  void keys_of_others_and_on_other_paths_are_others() throws Exception {
    SandboxId first = call(KEY).what();
    for (OnceKey other :
        List.of(
            new OnceKey("other", KEY.path(), KEY.key(), KEY.body()),
            new OnceKey(KEY.owner(), "/v1/other", KEY.key(), KEY.body()),
            new OnceKey(KEY.owner(), KEY.path(), "K", KEY.body()))) {
      assertThat(call(other).what()).isNotEqualTo(first);
    }
  }

  @Test
  void a_key_is_for_one_request() throws Exception {
    call(KEY);
    assertThatThrownBy(() -> call(new OnceKey(KEY.owner(), KEY.path(), KEY.key(), "another")))
        .isInstanceOfSatisfying(
            SandboxException.class,
            refused -> assertThat(refused.code()).isEqualTo("idempotency_key_reused"));
  }

  @Test
  void a_call_that_failed_does_not_use_its_key_up() throws Exception {
    assertThatThrownBy(() ->
            once.answer(
                KEY,
                before -> before.made().getFirst(),
                () -> {
                  throw Refusals.closing();
                }))
        .isInstanceOf(SandboxException.class);
    assertThat(call(KEY).before()).isFalse();
  }

  @Test
  void a_key_is_forgotten_after_a_day() throws Exception {
    call(KEY);
    now = now.plus(OnceCalls.REMEMBERED).minusMillis(1);
    assertThat(call(KEY).before()).isTrue();
    now = now.plusMillis(1);
    assertThat(call(KEY).before()).isFalse();
  }

  @Test
  void of_calls_at_the_same_time_one_makes_and_the_others_wait_for_it() throws Exception {
    CountDownLatch start = new CountDownLatch(1);
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<SandboxId>> answers = new ArrayList<>();
      for (int i = 0; i < 50; i++) {
        answers.add(
            threads.submit(() -> {
              start.await();
              return call(KEY).what();
            }));
      }
      start.countDown();
      SandboxId one = answers.getFirst().get(60, TimeUnit.SECONDS);
      for (Future<SandboxId> answer : answers) {
        assertThat(answer.get(60, TimeUnit.SECONDS)).isEqualTo(one);
      }
    }
    assertThat(calls).hasValue(1);
  }
}
