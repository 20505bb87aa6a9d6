package dev.podflare.sandbox;

import dev.podflare.guest.GuestException;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Compares and merges two sandboxes of a family.
 *
 * <p>Both are held while that goes on, and taken in the order of their ids, so that two merges of
 * the same two, either way round, never wait for each other.
 */
final class Merging {

  /** A comparison is a question, and should not wait for code that may run for hours. */
  private static final Duration TURN_PATIENCE = Duration.ofSeconds(10);

  private final OpenSandboxes open;

  Merging(OpenSandboxes open) {
    this.open = open;
  }

  private record Pair(Sandbox lower, Sandbox upper) {

    static Pair of(Sandbox one, Sandbox other) {
      return one.id().value().compareTo(other.id().value()) < 0
          ? new Pair(one, other)
          : new Pair(other, one);
    }
  }

  /** Either of two, by the sandbox that it belongs to. */
  private static <T> T of(Sandbox sandbox, Pair pair, T lower, T upper) {
    return sandbox == pair.lower() ? lower : upper;
  }

  Difference compare(Sandbox from, Sandbox to, CompareSandboxes what)
      throws GuestException, InterruptedException {
    if (from == to) {
      return new Difference(
          new TreeMap<>(),
          what.variables() ? Optional.of(new TreeMap<>()) : Optional.empty(),
          false);
    }
    if (!what.variables()) {
      return compareFiles(from, to, what);
    }
    Pair pair = Pair.of(from, to);
    try (Sandbox.Turn _ = pair.lower().turn(TURN_PATIENCE);
        Sandbox.Turn _ = pair.upper().turn(TURN_PATIENCE)) {
      return compareFiles(from, to, what);
    }
  }

  private static Difference compareFiles(Sandbox from, Sandbox to, CompareSandboxes what)
      throws GuestException, InterruptedException {
    Pair pair = Pair.of(from, to);
    try (Sandbox.Use lower = pair.lower().use();
        Sandbox.Use upper = pair.upper().use()) {
      return Comparison.compare(
          of(from, pair, lower, upper).agent(), of(to, pair, lower, upper).agent(), what);
    }
  }

  MergeReport merge(Sandbox parent, Sandbox winner, MergeSandboxes how)
      throws GuestException, InterruptedException {
    if (parent == winner) {
      throw Refusals.intoItself();
    }
    if (!parent.sandboxRecord().family().equals(winner.sandboxRecord().family())) {
      throw Refusals.notARelative();
    }
    return switch (how.mode()) {
      case FILES -> mergeFiles(parent, winner, how);
      case SWAP -> how.dryRun() ? wouldSwap(parent, winner) : swap(parent, winner);
    };
  }

  private static MergeReport mergeFiles(Sandbox parent, Sandbox winner, MergeSandboxes how)
      throws GuestException, InterruptedException {
    Pair pair = Pair.of(parent, winner);
    try (Sandbox.Use lower = pair.lower().use();
        Sandbox.Use upper = pair.upper().use()) {
      Sandbox.Use onto = of(parent, pair, lower, upper);
      Sandbox.Use from = of(winner, pair, lower, upper);
      // A copy learns only when it is itself when it was cut: so its agent comes first.
      var agentOnto = onto.agent();
      var agentFrom = from.agent();
      Instant parted =
          onto.machine()
              .line()
              .partedFrom(from.machine().line())
              .orElseThrow(Refusals::notARelative);
      return FileMerge.merge(agentOnto, agentFrom, parted, how);
    }
  }

  private static MergeReport wouldSwap(Sandbox parent, Sandbox winner) throws InterruptedException {
    Pair pair = Pair.of(parent, winner);
    try (Sandbox.Use lower = pair.lower().use();
        Sandbox.Use upper = pair.upper().use()) {
      // A copy that does not become somebody can't be merged.
      var _ = lower.agent();
      var _ = upper.agent();
      return MergeReport.whole(false);
    }
  }

  private MergeReport swap(Sandbox parent, Sandbox winner) throws InterruptedException {
    Pair pair = Pair.of(parent, winner);
    Machine old;
    try (Sandbox.Turn lowerTurn = pair.lower().turn();
        Sandbox.Turn upperTurn = pair.upper().turn();
        Sandbox.Standstill lower = pair.lower().standstill(lowerTurn);
        Sandbox.Standstill upper = pair.upper().standstill(upperTurn)) {
      old = open.swap(of(parent, pair, lower, upper), of(winner, pair, lower, upper));
    }
    old.close();
    return MergeReport.whole(true);
  }
}
