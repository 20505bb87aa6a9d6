package dev.podflare.sandbox;

import dev.podflare.engine.EngineException;
import dev.podflare.guest.GuestException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Calls that are done once, however often they are made with the same key.
 *
 * <p>What such a call has made is written down in the transaction that makes it, so whatever dies,
 * a call that is made again finds it, or finds that nothing was made. A call that fails writes
 * nothing.
 */
final class OnceCalls {

  /** How long a key is remembered. */
  static final Duration REMEMBERED = Duration.ofHours(24);

  private final Database database;
  private final InstantSource clock;

  /** The calls that are at work, each with what those wait for that are made again meanwhile. */
  private final ConcurrentHashMap<Name, CompletableFuture<Void>> atWork = new ConcurrentHashMap<>();

  private record Name(String owner, String path, String key) {
    static Name of(OnceKey key) {
      return new Name(key.owner(), key.path(), key.key());
    }
  }

  OnceCalls(Database database, InstantSource clock) {
    this.database = database;
    this.clock = clock;
  }

  /**
   * What a call has made.
   *
   * @param made ids, of what {@code generation} and the times are those
   * @param fork what is told of a fork; zeros for other calls
   */
  record Made(
      List<SandboxId> made, int generation, Instant lastUsed, ForkFigures fork, String body) {}

  /** What is told of a fork beside its children. */
  record ForkFigures(Duration pause, Duration running) {
    static final ForkFigures NONE = new ForkFigures(Duration.ZERO, Duration.ZERO);
  }

  /** What is done once. */
  interface Work<T> {
    T done() throws EngineException, GuestException, InterruptedException;
  }

  /**
   * Does something, unless it was done already.
   *
   * @param again tells what was made as if it had been made just now
   * @param work must {@link #write} what it makes
   */
  <T> Answered<T> answer(OnceKey key, Function<Made, T> again, Work<T> work)
      throws EngineException, GuestException, InterruptedException {
    CompletableFuture<Void> mine = new CompletableFuture<>();
    CompletableFuture<Void> other = atWork.putIfAbsent(Name.of(key), mine);
    while (other != null) {
      await(other);
      other = atWork.putIfAbsent(Name.of(key), mine);
    }
    try {
      Optional<Made> before = find(key);
      if (before.isEmpty()) {
        return Answered.now(work.done());
      }
      if (!before.get().body().equals(key.body())) {
        throw Refusals.onceKeyReused();
      }
      return new Answered<>(again.apply(before.get()), true);
    } finally {
      atWork.remove(Name.of(key), mine);
      mine.complete(null);
    }
  }

  private static void await(CompletableFuture<Void> other) throws InterruptedException {
    try {
      var _ = other.get();
    } catch (ExecutionException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  private Optional<Made> find(OnceKey key) {
    return database.first(
        """
        SELECT * FROM once_calls
          WHERE owner = ? AND path = ? AND given_key = ? AND created_at > ?
        """,
        query -> {
          query.setString(1, key.owner());
          query.setString(2, key.path());
          query.setString(3, key.key());
          query.setLong(4, oldest());
        },
        row ->
            new Made(
                Arrays.stream(row.getString("made").split(" ", -1)).map(SandboxId::new).toList(),
                row.getInt("generation"),
                Instant.ofEpochMilli(row.getLong("last_used_at")),
                new ForkFigures(
                    Duration.ofNanos(row.getLong("pause_ns")),
                    Duration.ofNanos(row.getLong("running_ns"))),
                row.getString("body")));
  }

  private long oldest() {
    return clock.instant().minus(REMEMBERED).toEpochMilli();
  }

  /** Writes down what a call has made, and forgets what is too old; in a transaction of others. */
  void write(OnceKey key, List<SandboxInfo> made, ForkFigures fork) {
    database.change(
        "DELETE FROM once_calls WHERE created_at <= ?", delete -> delete.setLong(1, oldest()));
    database.change(
        """
        INSERT INTO once_calls (owner, path, given_key, body, made, generation, last_used_at,
          pause_ns, running_ns, created_at)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        insert -> {
          insert.setString(1, key.owner());
          insert.setString(2, key.path());
          insert.setString(3, key.key());
          insert.setString(4, key.body());
          insert.setString(
              5, made.stream().map(one -> one.id().value()).collect(Collectors.joining(" ")));
          insert.setInt(6, made.getFirst().generation());
          insert.setLong(7, made.getFirst().lastUsedAt().toEpochMilli());
          insert.setLong(8, fork.pause().toNanos());
          insert.setLong(9, fork.running().toNanos());
          insert.setLong(10, clock.instant().toEpochMilli());
        });
  }
}
