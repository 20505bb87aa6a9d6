package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.sandbox.Difference.Kind;
import dev.podflare.sandbox.FileComparison.Side;
import dev.podflare.sandbox.MergeReport.Conflict;
import dev.podflare.sandbox.MergeSandboxes.OnConflict;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;

/**
 * The plan of a merge, against file systems that are simulated from a common past: what the plan
 * does to the parent is what somebody would do who had the past to compare with.
 */
class MergePlanTest {

  private static final List<String> PATHS =
      List.of("/root/a", "/root/b", "/root/d", "/root/d/x", "/root/d/y", "/root/d/e/z");

  private static SimulatedDisk past() {
    var disk = new SimulatedDisk(Map.of("/root/b", "base b", "/root/d/y", "base y"));
    disk.write("/root/a", "first");
    disk.write("/root/d/x", "first");
    return disk;
  }

  private static MergePlan plan(SimulatedDisk parent, SimulatedDisk winner, OnConflict resolve) {
    long cut = parent.cut();
    var files = new FileComparison(parent.changes(), winner.changes(), cut);
    var births = new HashMap<String, Long>();
    MergePlan.unborn(files, cut, Side.FROM).forEach(p -> births.put(p, parent.birth(p)));
    MergePlan.unborn(files, cut, Side.TO).forEach(p -> births.merge(p, winner.birth(p), Math::min));
    var same = new HashSet<String>();
    for (String path : MergePlan.undecided(files, cut)) {
      if (Objects.equals(parent.read(path), winner.read(path))) {
        same.add(path);
      }
    }
    return MergePlan.of(files, cut, same, births, resolve);
  }

  @Test
  void what_only_the_winner_changed_is_taken() {
    SimulatedDisk parent = past();
    SimulatedDisk winner = parent.fork();
    winner.write("/root/a", "winner's");
    winner.write("/root/new", "new");
    winner.remove("/root/b");
    winner.remove("/root/d/x");
    MergePlan plan = plan(parent, winner, OnConflict.FAIL);
    assertThat(plan.conflicts()).isEmpty();
    assertThat(plan.changes())
        .isEqualTo(
            new TreeMap<>(
                Map.of(
                    "/root/a", Kind.MODIFIED,
                    "/root/new", Kind.ADDED,
                    "/root/b", Kind.REMOVED,
                    "/root/d/x", Kind.REMOVED)));
    assertThat(plan.pack()).containsExactly("/root/a", "/root/new");
    assertThat(plan.removals()).containsExactly("/root/b", "/root/d/x");
  }

  @Test
  void what_only_the_parent_changed_stays() {
    SimulatedDisk parent = past();
    SimulatedDisk winner = parent.fork();
    parent.write("/root/a", "parent's");
    parent.write("/root/new", "new");
    parent.remove("/root/b");
    parent.remove("/root/d/x");
    MergePlan plan = plan(parent, winner, OnConflict.FAIL);
    assertThat(plan.changes()).isEmpty();
    assertThat(plan.conflicts()).isEmpty();
  }

  @Test
  void what_both_changed_is_a_conflict_unless_it_is_the_same() {
    SimulatedDisk parent = past();
    SimulatedDisk winner = parent.fork();
    parent.write("/root/a", "one");
    winner.write("/root/a", "two");
    parent.write("/root/b", "same");
    winner.write("/root/b", "same");
    MergePlan plan = plan(parent, winner, OnConflict.FAIL);
    assertThat(plan.conflicts())
        .containsExactly(new Conflict("/root/a", Kind.MODIFIED, Kind.MODIFIED));
    assertThat(plan.isRefused()).isTrue();
    assertThat(plan(parent, winner, OnConflict.PARENT).changes()).isEmpty();
    assertThat(plan(parent, winner, OnConflict.WINNER).pack()).containsExactly("/root/a");
  }

  @Test
  void a_report_tells_files_that_both_made_from_those_that_one_made_anew() {
    SimulatedDisk parent = past();
    SimulatedDisk winner = parent.fork();
    parent.write("/root/new", "one");
    winner.write("/root/new", "two");
    parent.write("/root/a", "in place");
    winner.remove("/root/a");
    winner.write("/root/a", "anew");
    assertThat(plan(parent, winner, OnConflict.FAIL).conflicts())
        .containsExactly(
            new Conflict("/root/a", Kind.MODIFIED, Kind.MODIFIED),
            new Conflict("/root/new", Kind.ADDED, Kind.ADDED));
  }

  @Test
  void a_file_that_one_side_removed_and_the_other_changed_is_a_conflict() {
    SimulatedDisk parent = past();
    SimulatedDisk winner = parent.fork();
    parent.write("/root/a", "changed");
    winner.remove("/root/a");
    parent.remove("/root/d/x");
    winner.write("/root/d/x", "changed");
    parent.write("/root/b", "changed");
    winner.remove("/root/b");
    assertThat(plan(parent, winner, OnConflict.FAIL).conflicts())
        .containsExactly(
            new Conflict("/root/a", Kind.MODIFIED, Kind.REMOVED),
            new Conflict("/root/b", Kind.MODIFIED, Kind.REMOVED),
            new Conflict("/root/d/x", Kind.REMOVED, Kind.MODIFIED));
  }

  @Test
  void a_renamed_file_is_new_at_its_new_path_and_no_conflict() {
    SimulatedDisk parent = past();
    SimulatedDisk winner = parent.fork();
    parent.write("/root/unrelated", "so that the directory has changed on both sides");
    winner.rename("/root/a", "/root/c");
    MergePlan plan = plan(parent, winner, OnConflict.FAIL);
    assertThat(plan.conflicts()).isEmpty();
    assertThat(plan.changes())
        .isEqualTo(new TreeMap<>(Map.of("/root/a", Kind.REMOVED, "/root/c", Kind.ADDED)));
  }

  @Test
  void a_directory_goes_only_if_nothing_of_the_parents_is_left_in_it() {
    SimulatedDisk parent = past();
    SimulatedDisk winner = parent.fork();
    winner.removeTree("/root/d");
    parent.write("/root/d/kept", "new");
    MergePlan plan = plan(parent, winner, OnConflict.FAIL);
    assertThat(plan.conflicts()).isEmpty();
    assertThat(plan.removals()).contains("/root/d/x", "/root/d/y").doesNotContain("/root/d");
  }

  @Test
  void a_directory_that_the_parent_removed_comes_back_for_what_the_winner_put_in_it() {
    SimulatedDisk parent = past();
    parent.write("/root/own/old", "1");
    SimulatedDisk winner = parent.fork();
    parent.removeTree("/root/own");
    winner.write("/root/own/new", "2");
    MergePlan plan = plan(parent, winner, OnConflict.FAIL);
    assertThat(plan.conflicts()).isEmpty();
    assertThat(plan.pack()).containsExactly("/root/own", "/root/own/new");
  }

  @Test
  void a_file_in_the_place_of_a_directory_that_the_parent_still_uses_is_a_conflict() {
    SimulatedDisk parent = past();
    SimulatedDisk winner = parent.fork();
    winner.removeTree("/root/d");
    winner.write("/root/d", "a file now");
    parent.write("/root/d/kept", "new");
    MergePlan plan = plan(parent, winner, OnConflict.FAIL);
    assertThat(plan.conflicts()).extracting(Conflict::path).contains("/root/d");
    assertThat(plan(parent, winner, OnConflict.PARENT).pack()).doesNotContain("/root/d");
    assertThat(plan(parent, winner, OnConflict.WINNER).removals()).contains("/root/d/kept");
  }

  @Test
  void a_file_that_both_had_untouched_is_nobodys_change() {
    SimulatedDisk parent = past();
    MergePlan plan = plan(parent, parent.fork(), OnConflict.FAIL);
    assertThat(plan.changes()).isEmpty();
    assertThat(plan.conflicts()).isEmpty();
  }

  // ---- any history ----

  /** One thing that code does to a file; the text null removes it. */
  record Step(boolean winners, String path, String text) {}

  @Provide
  Arbitrary<List<Step>> histories() {
    Arbitrary<String> texts = Arbitraries.of("one", "two", "six", "longer").injectNull(0.3);
    return Combinators.combine(Arbitraries.of(true, false), Arbitraries.of(PATHS), texts)
        .as(Step::new)
        .list()
        .ofMaxSize(12);
  }

  @Property
  void after_a_merge_each_file_is_as_whoever_changed_it_has_it(
      @ForAll("histories") List<Step> history) {
    SimulatedDisk past = past();
    SimulatedDisk parent = past.copy();
    SimulatedDisk winner = parent.fork();
    for (Step step : history) {
      SimulatedDisk disk = step.winners() ? winner : parent;
      if (step.text() == null) {
        disk.remove(step.path());
      } else {
        disk.write(step.path(), step.text());
      }
    }
    MergePlan plan = plan(parent, winner, OnConflict.PARENT);
    var conflicts = plan.conflicts().stream().map(Conflict::path).toList();
    SimulatedDisk merged = parent.copy();
    plan.pack().forEach(path -> merged.take(path, winner));
    plan.removals().reversed().forEach(merged::remove);
    for (String path : PATHS) {
      String before = past.read(path);
      String parents = parent.read(path);
      String winners = winner.read(path);
      if (conflicts.contains(path) || Objects.equals(parents, winners)) {
        assertThat(merged.read(path)).as(path).isEqualTo(parents);
      } else if (Objects.equals(winners, before)) {
        // Written and put back, or written twice the same, still counts as a change: only what the
        // winner never touched must be the parent's.
        assertThat(merged.read(path)).as(path).isIn(parents, winners);
      } else if (Objects.equals(parents, before)) {
        assertThat(merged.read(path)).as(path).isEqualTo(winners);
      } else {
        // Both changed it, differently, and no conflict was seen. One case leaves no trace: a file
        // that one side removed, and the other removed and made anew. What there is, stays.
        assertThat(parents == null || winners == null).as(path).isTrue();
        assertThat(merged.read(path)).as(path).isEqualTo(parents == null ? winners : parents);
      }
    }
  }
}
