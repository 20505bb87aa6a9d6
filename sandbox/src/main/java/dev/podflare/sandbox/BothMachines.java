package dev.podflare.sandbox;

import dev.podflare.guest.AgentConnection;
import dev.podflare.guest.GuestChanges;
import dev.podflare.guest.GuestException;
import dev.podflare.guest.GuestNode;
import dev.podflare.sandbox.FileComparison.Side;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/** Two machines that are asked the same, side by side. */
record BothMachines(AgentConnection from, AgentConnection to) {

  AgentConnection get(Side side) {
    return side == Side.FROM ? from : to;
  }

  /** A question to one machine. */
  @FunctionalInterface
  interface Question<T> {
    T ask(Side side) throws GuestException, InterruptedException;
  }

  /** What each answered. */
  record Answers<T>(T from, T to) {}

  /** Asks both at once; the failure of either is thrown. */
  <T> Answers<T> ask(Question<T> question) throws GuestException, InterruptedException {
    var other = new FutureTask<>(() -> question.ask(Side.TO));
    Thread asking = Thread.ofVirtual().name("compare").start(other);
    try {
      T from = question.ask(Side.FROM);
      return new Answers<>(from, other.get());
    } catch (ExecutionException failed) {
      throw failure(failed);
    } finally {
      asking.interrupt();
    }
  }

  private static GuestException failure(ExecutionException failed) throws InterruptedException {
    return switch (failed.getCause()) {
      case GuestException guest -> guest;
      case InterruptedException interrupted -> throw interrupted;
      case RuntimeException defect -> throw defect;
      case Error defect -> throw defect;
      case null, default -> throw new IllegalStateException(failed);
    };
  }

  /**
   * Their files below some paths.
   *
   * @param untouchedUntil see {@link FileComparison}
   */
  Files files(List<String> paths, long untouchedUntil) throws GuestException, InterruptedException {
    Answers<GuestChanges> changes = ask(side -> get(side).changes(paths));
    var comparison = new FileComparison(changes.from(), changes.to(), untouchedUntil);
    if (!comparison.unseen(Side.FROM).isEmpty() || !comparison.unseen(Side.TO).isEmpty()) {
      Answers<Map<String, GuestNode>> unseen =
          ask(side -> get(side).nodes(comparison.unseen(side)));
      comparison.see(Side.FROM, unseen.from());
      comparison.see(Side.TO, unseen.to());
    }
    return new Files(comparison, changes.from().truncated() || changes.to().truncated());
  }

  /** Files side by side, and whether there is more than is told. */
  record Files(FileComparison comparison, boolean truncated) {}

  /** Those of some files whose content is the same in both. */
  Set<String> sameContent(Collection<String> paths) throws GuestException, InterruptedException {
    if (paths.isEmpty()) {
      return Set.of();
    }
    Answers<Map<String, String>> digests = ask(side -> get(side).digests(paths));
    var same = new HashSet<String>();
    digests
        .from()
        .forEach((path, digest) -> {
          if (digest.equals(digests.to().get(path))) {
            same.add(path);
          }
        });
    return same;
  }
}
