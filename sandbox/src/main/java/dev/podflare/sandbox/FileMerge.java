package dev.podflare.sandbox;

import dev.podflare.guest.AgentConnection;
import dev.podflare.guest.GuestArchive;
import dev.podflare.guest.GuestException;
import dev.podflare.sandbox.BothMachines.Answers;
import dev.podflare.sandbox.FileComparison.Side;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** Merges the files of one live machine into another that it descends from. */
final class FileMerge {

  /**
   * The instant of the cut is known by the host's clock, and rather too early than too late, so
   * that no change of the parent is missed. But what was made a moment before the cut was there.
   */
  private static final Duration CLOCK_SLACK = Duration.ofMillis(50);

  private FileMerge() {}

  /**
   * Brings onto the parent what the winner has changed since it left the parent.
   *
   * <p>The parent's files are replaced whole, each at once. If anything fails before the first of
   * them, nothing is changed. What code changes in either machine meanwhile may be missed.
   *
   * @param cut when the winner's line was cut from the parent, by the guest's clock
   * @param how of {@link MergeSandboxes.Mode#FILES}
   */
  static MergeReport merge(
      AgentConnection parent, AgentConnection winner, Instant cut, MergeSandboxes how)
      throws GuestException, InterruptedException {
    var machines = new BothMachines(parent, winner);
    MergePlan plan = plan(machines, nanos(cut), how);
    if (how.dryRun()) {
      return new MergeReport(false, plan.changes(), plan.conflicts());
    }
    if (plan.isRefused()) {
      return new MergeReport(false, new TreeMap<>(), plan.conflicts());
    }
    if (!plan.changes().isEmpty()) {
      apply(machines, plan);
    }
    return new MergeReport(true, plan.changes(), plan.conflicts());
  }

  private static long nanos(Instant time) {
    return Math.addExact(Math.multiplyExact(time.getEpochSecond(), 1_000_000_000L), time.getNano());
  }

  private static MergePlan plan(BothMachines machines, long cut, MergeSandboxes how)
      throws GuestException, InterruptedException {
    BothMachines.Files files = machines.files(how.paths(), cut);
    if (files.truncated()) {
      throw Refusals.tooManyChanges();
    }
    FileComparison comparison = files.comparison();
    Set<String> same = machines.sameContent(MergePlan.undecided(comparison, cut));
    return MergePlan.of(comparison, cut, same, births(machines, comparison, cut), how.onConflict());
  }

  /** The earlier, where both machines are asked about a path. */
  private static Map<String, Long> births(BothMachines machines, FileComparison files, long cut)
      throws GuestException, InterruptedException {
    Answers<Map<String, Long>> answers =
        machines.ask(side -> {
          List<String> unborn = MergePlan.unborn(files, cut, side);
          return unborn.isEmpty() ? Map.of() : machines.get(side).births(unborn);
        });
    var births = new HashMap<>(answers.from());
    answers.to().forEach((path, birth) -> births.merge(path, birth, Math::min));
    births.replaceAll((path, birth) -> birth - CLOCK_SLACK.toNanos());
    return births;
  }

  private static void apply(BothMachines machines, MergePlan plan)
      throws GuestException, InterruptedException {
    try (GuestArchive archive = machines.get(Side.TO).pack(plan.pack())) {
      machines.get(Side.FROM).unpack(archive, plan.removals());
    } catch (GuestException failed) {
      throw failed;
    } catch (InterruptedIOException interrupted) {
      throw (InterruptedException) new InterruptedException().initCause(interrupted);
    } catch (IOException impossible) {
      throw new IllegalStateException("a guest fails in its own ways only", impossible);
    }
  }
}
