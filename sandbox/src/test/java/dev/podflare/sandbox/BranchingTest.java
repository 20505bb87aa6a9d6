package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.MicroVm;
import dev.podflare.engine.qemu.QemuEngine;
import dev.podflare.sandbox.MergeSandboxes.Mode;
import dev.podflare.sandbox.MergeSandboxes.OnConflict;
import dev.podflare.sandbox.SandboxException.Reason;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/**
 * Forks, merges and Spaces on real microVMs. Needs root and a guest image, which {@code
 * PODFLARE_IMAGE_DIR} names.
 */
@Tag("machine")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class BranchingTest {

  private static final MergeSandboxes SWAP =
      new MergeSandboxes(Mode.SWAP, List.of(), false, OnConflict.FAIL);

  private Path data;
  private WatchedEngine engine;
  private HostUnderTest host;
  private LocalSandboxes sandboxes;

  @BeforeAll
  void start(@TempDir Path directory) throws Exception {
    data = Files.createDirectory(directory.resolve("data"));
    engine = new WatchedEngine(QemuEngine.in(directory.resolve("engine")));
    host = new HostUnderTest(engine, data);
    sandboxes = host.sandboxes();
  }

  @AfterEach
  void closeAll() {
    host.haveMemory(HostUnderTest.PLENTY);
    SandboxQuery all =
        new SandboxQuery(
            "owner", Optional.empty(), Optional.empty(), Map.of(), Optional.empty(), 1000);
    sandboxes.list(all).sandboxes().forEach(sandbox -> sandboxes.close(sandbox.id()));
    sandboxes.spaces("owner").forEach(space -> sandboxes.deleteSpace(space.id()));
    engine.started().clear();
  }

  @AfterAll
  void stop() {
    host.close();
    engine.close();
  }

  private List<SandboxId> fork(SandboxId parent, int n) {
    return sandboxes.fork(parent, n).children().stream().map(SandboxInfo::id).toList();
  }

  private static void assertRefused(Runnable call, Reason reason, String code) {
    assertThatThrownBy(call::run)
        .isInstanceOfSatisfying(
            SandboxException.class,
            refused -> {
              assertThat(refused.code()).isEqualTo(code);
              assertThat(refused.reason()).isEqualTo(reason);
            });
  }

  private long entriesOf(String directory) throws Exception {
    try (Stream<Path> all = Files.list(data.resolve(directory))) {
      return all.count();
    }
  }

  // ---- fork ----

  @Test
  void every_child_has_what_the_parent_had_and_goes_its_own_way() throws Exception {
    SandboxId parent = host.create();
    host.run(parent, "x = 41; open('/root/f', 'w').write('of the parent')");
    List<SandboxId> children = fork(parent, 3);
    for (SandboxId child : children) {
      assertThat(
              host.python(child, "x, open('/root/f').read(), __import__('os').environ['COLOUR']"))
          .isEqualTo("41 of the parent blue");
      host.run(child, "x = '" + child + "'");
    }
    host.run(parent, "x += 1");
    for (SandboxId child : children) {
      assertThat(host.python(child, "x")).isEqualTo(child.value());
    }
    assertThat(host.python(parent, "x")).isEqualTo("42");
    assertThat(children.stream().map(child -> random(child)).distinct().toList()).hasSize(3);
  }

  private String random(SandboxId id) {
    try {
      return host.python(id, "__import__('random').random(), __import__('os').urandom(8)");
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void a_family_is_listed_with_its_generations() throws Exception {
    SandboxId first = host.create();
    SandboxId second = fork(first, 1).getFirst();
    SandboxId third = fork(second, 1).getFirst();
    sandboxes.close(second);
    List<Relative> family = sandboxes.family(third);
    assertThat(family.stream().map(Relative::id)).containsExactly(first, second, third);
    assertThat(family.stream().map(Relative::generation)).containsExactly(0, 1, 2);
    assertThat(family.get(2).parent()).contains(second);
    assertThat(family.get(1).end()).contains("closed");
    SandboxInfo info = sandboxes.find(third).orElseThrow();
    assertThat(info.family()).isEqualTo(first);
    assertThat(info.generation()).isEqualTo(2);
    assertThat(info.metadata()).containsEntry("task", "7");
    assertThat(host.python(third, "open('/run/podflare/generation').read().strip()"))
        .isEqualTo("2");
  }

  @Test
  void a_fork_in_the_middle_of_an_exec_leaves_its_stream_with_the_parent() throws Exception {
    SandboxId parent = host.create();
    try (ExecStream stream =
        sandboxes.exec(
            parent,
            HostUnderTest.code(
                "import time\nprint('on', flush=True)\ntime.sleep(3)\ndone = 7\nprint(done)"))) {
      assertThat(stream.next()).isNotEmpty();
      SandboxId child = fork(parent, 1).getFirst();
      assertThat(host.python(child, "done")).isEqualTo("7");
      assertThat(HostUnderTest.end(stream).out()).endsWith("7\n");
    }
  }

  @Test
  void code_that_goes_on_in_a_child_can_be_interrupted() throws Exception {
    SandboxId parent = host.create();
    try (ExecStream stream =
        sandboxes.exec(
            parent, HostUnderTest.code("import time\nprint('on', flush=True)\ntime.sleep(600)"))) {
      assertThat(stream.next()).isNotEmpty();
      SandboxId child = fork(parent, 1).getFirst();
      sandboxes.interrupt(child);
      assertThat(host.python(child, "1")).isEqualTo("1");
      assertThat(host.stateOf(parent)).isEqualTo(SandboxInfo.State.RUNNING);
      sandboxes.interrupt(parent);
    }
  }

  @Test
  void a_fork_that_the_host_has_no_memory_for_makes_no_child() throws Exception {
    SandboxId parent = host.create();
    engine.started().clear();
    host.haveMemory(HostUnderTest.RESERVE + 2 * HostUnderTest.PER_SANDBOX);
    assertRefused(() -> fork(parent, 3), Reason.NO_ROOM, "no_room");
    assertThat(engine.started()).isEmpty();
    assertThat(sandboxes.family(parent)).hasSize(1);
    assertThat(fork(parent, 2)).hasSize(2);
  }

  @Test
  void a_fork_of_which_one_child_fails_makes_none_and_the_parent_goes_on() throws Exception {
    SandboxId parent = host.create();
    engine.failAfter(2);
    assertRefused(() -> fork(parent, 4), Reason.NO_ROOM, "no_room");
    engine.failNever();
    assertThat(sandboxes.family(parent)).hasSize(1);
    assertThat(host.python(parent, "1 + 1")).isEqualTo("2");
    MicroVm ofParent = engine.started().take();
    assertThat(ofParent.exit()).isNotDone();
    assertThat(engine.started()).isEmpty();
  }

  // ---- swap ----

  @Test
  void after_a_merge_the_parents_id_drives_the_winners_machine() throws Exception {
    SandboxId parent = host.create();
    List<SandboxId> children = fork(parent, 2);
    host.run(children.getFirst(), "x = 'best'");
    assertThat(sandboxes.merge(parent, children.getFirst(), SWAP).applied()).isTrue();
    assertThat(host.python(parent, "x")).isEqualTo("best");
    assertThat(host.python(children.getLast(), "'x' in globals()")).isEqualTo("False");
    assertRefused(
        () -> sandboxes.exec(children.getFirst(), HostUnderTest.code("1")),
        Reason.NO_SANDBOX,
        "sandbox_not_found");
    assertRefused(
        () -> sandboxes.merge(parent, children.getFirst(), SWAP),
        Reason.NO_SANDBOX,
        "sandbox_not_found");
    assertThat(sandboxes.find(parent).orElseThrow().generation()).isEqualTo(1);
    assertThat(
            sandboxes.family(parent).get(1).end().or(() -> sandboxes.family(parent).get(2).end()))
        .contains("merged");
    assertThat(sandboxes.find(fork(parent, 1).getFirst()).orElseThrow().generation()).isEqualTo(2);
  }

  @Test
  void what_makes_no_sense_to_merge_is_refused() throws Exception {
    SandboxId parent = host.create();
    SandboxId stranger = host.create();
    assertRefused(() -> sandboxes.merge(parent, parent, SWAP), Reason.INVALID, "merge_into_itself");
    assertRefused(
        () -> sandboxes.merge(parent, stranger, SWAP), Reason.WRONG_STATE, "not_a_relative");
    SandboxId child = fork(parent, 1).getFirst();
    engine.started().stream().toList().getLast().close();
    assertRefused(() -> sandboxes.merge(parent, child, SWAP), Reason.WRONG_STATE, "sandbox_lost");
    assertThat(host.python(parent, "5")).isEqualTo("5");
  }

  @Test
  void execs_at_the_time_of_a_merge_see_the_old_machine_or_the_new_one() throws Exception {
    SandboxId parent = host.create();
    host.run(parent, "x = 0");
    CountDownLatch merged = new CountDownLatch(1);
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<List<String>>> readers = new ArrayList<>();
      for (int reader = 0; reader < 3; reader++) {
        readers.add(
            threads.submit(() -> {
              List<String> seen = new ArrayList<>();
              while (merged.getCount() > 0) {
                seen.add(host.python(parent, "x"));
              }
              return seen;
            }));
      }
      for (int round = 1; round <= 3; round++) {
        SandboxId child = fork(parent, 1).getFirst();
        host.run(child, "x = " + round);
        sandboxes.merge(parent, child, SWAP);
      }
      merged.countDown();
      for (Future<List<String>> reader : readers) {
        List<String> seen = reader.get(60, TimeUnit.SECONDS);
        assertThat(seen).isSorted().isSubsetOf("0", "1", "2", "3");
      }
    }
    assertThat(host.python(parent, "x")).isEqualTo("3");
  }

  @Test
  void merges_of_the_same_two_either_way_round_never_wait_for_each_other() throws Exception {
    SandboxId one = host.create();
    SandboxId other = fork(one, 1).getFirst();
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<Boolean>> merges = new ArrayList<>();
      for (boolean there : new boolean[] {true, false}) {
        merges.add(
            threads.submit(() -> {
              try {
                sandboxes.merge(there ? one : other, there ? other : one, SWAP);
                return true;
              } catch (SandboxException gone) {
                assertThat(gone.reason()).isEqualTo(Reason.NO_SANDBOX);
                return false;
              }
            }));
      }
      boolean first = merges.getFirst().get(60, TimeUnit.SECONDS);
      assertThat(merges.getLast().get(60, TimeUnit.SECONDS)).isNotEqualTo(first);
      assertThat(host.python(first ? one : other, "1")).isEqualTo("1");
    }
  }

  // ---- Spaces ----

  @Test
  void a_space_can_be_waked_many_times_and_then_deleted() throws Exception {
    SandboxId was = host.create();
    host.run(
        was,
        """
        import threading, time
        ticks = 0
        def tick():
            global ticks
            while True:
                time.sleep(0.05)
                ticks += 1
        threading.Thread(target=tick, daemon=True).start()
        f = open('/tmp/log', 'w')
        x = 5
        """);
    SpaceInfo space = sandboxes.freeze(was);
    assertThat(sandboxes.find(was)).isEmpty();
    assertThat(sandboxes.spaces("owner")).containsExactly(space);
    assertThat(space.diskBytes()).isPositive();
    for (int time = 0; time < 2; time++) {
      SandboxInfo copy = sandboxes.resume(space.id());
      assertThat(copy.family()).isEqualTo(was);
      assertThat(copy.parent()).contains(was);
      assertThat(
              host.run(
                      copy.id(),
                      """
                      f.write('on'); f.flush(); before, until = ticks, time.monotonic() + 60
                      while ticks == before and time.monotonic() < until: time.sleep(0.02)
                      print(x, ticks > before, open('/tmp/log').read())
                      """)
                  .out())
          .isEqualTo("5 True on\n");
    }
    sandboxes.deleteSpace(space.id());
    sandboxes.deleteSpace(space.id());
    assertThat(sandboxes.findSpace(space.id())).isEmpty();
    assertThat(sandboxes.spaceOwnerEver(space.id())).contains("owner");
    assertRefused(() -> sandboxes.resume(space.id()), Reason.NO_SPACE, "space_not_found");
    assertThat(entriesOf("spaces")).isZero();
  }

  @Test
  void a_space_with_an_altered_manifest_is_not_waked() throws Exception {
    SpaceInfo space = sandboxes.freeze(host.create());
    Path manifest = data.resolve("spaces").resolve(space.id().value()).resolve("space.json");
    Files.writeString(manifest, Files.readString(manifest).replace("\"owner\"", "\"others\""));
    assertRefused(() -> sandboxes.resume(space.id()), Reason.WRONG_STATE, "space_damaged");
    sandboxes.deleteSpace(space.id());
  }

  @Test
  void an_idle_persistent_sandbox_sleeps_and_its_next_call_wakes_it() throws Exception {
    // It must not sleep again before what it has left is looked at.
    SandboxId id = host.create(Optional.of(Duration.ofSeconds(5)), Optional.empty());
    host.run(id, "x = 1");
    for (int night = 0; night < 2; night++) {
      awaitState(id, SandboxInfo.State.FROZEN);
      SpaceInfo bed = sandboxes.spaces("owner").getFirst();
      assertThat(bed.heldBy()).contains(id);
      assertRefused(() -> sandboxes.deleteSpace(bed.id()), Reason.WRONG_STATE, "space_in_use");
      assertThat(host.python(id, "x")).isEqualTo(Integer.toString(night + 1));
      host.run(id, "x += 1");
      assertThat(sandboxes.spaces("owner")).isEmpty();
    }
    awaitState(id, SandboxInfo.State.FROZEN);
    sandboxes.close(id);
    assertThat(sandboxes.spaces("owner")).isEmpty();
    assertThat(entriesOf("spaces")).isZero();
  }

  @Test
  void many_calls_wake_a_sleeping_sandbox_once() throws Exception {
    // It must not sleep again before the last of them has come.
    SandboxId id = host.create(Optional.of(Duration.ofSeconds(5)), Optional.empty());
    host.run(id, "open('/root/f', 'w').write('here')");
    awaitState(id, SandboxInfo.State.FROZEN);
    engine.started().clear();
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<FileListing>> calls = new ArrayList<>();
      for (int call = 0; call < 8; call++) {
        calls.add(threads.submit(() -> sandboxes.listFiles(id, "/root")));
      }
      for (Future<FileListing> call : calls) {
        assertThat(call.get(60, TimeUnit.SECONDS).entries().stream().map(FileListing.Entry::name))
            .contains("f");
      }
    }
    assertThat(engine.started()).hasSize(1);
  }

  @Test
  void a_sleeping_sandbox_that_can_not_be_waked_says_so_and_is_tried_again() throws Exception {
    SandboxId id = host.create(Optional.of(Duration.ofSeconds(1)), Optional.empty());
    host.run(id, "x = 6");
    awaitState(id, SandboxInfo.State.FROZEN);
    engine.failAfter(0);
    assertRefused(() -> sandboxes.listFiles(id, "/root"), Reason.NO_ROOM, "no_room");
    assertThat(host.stateOf(id)).isEqualTo(SandboxInfo.State.FROZEN);
    engine.failNever();
    assertThat(host.python(id, "x")).isEqualTo("6");
  }

  @Test
  void the_end_of_its_lifetime_closes_a_sandbox_that_sleeps() throws Exception {
    SandboxId id =
        host.create(Optional.of(Duration.ofSeconds(1)), Optional.of(Duration.ofSeconds(20)));
    awaitState(id, SandboxInfo.State.FROZEN);
    long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    while (sandboxes.find(id).isPresent()) {
      assertThat(System.nanoTime()).isLessThan(deadline);
      Thread.sleep(20);
    }
    assertThat(sandboxes.spaces("owner")).isEmpty();
  }

  private void awaitState(SandboxId id, SandboxInfo.State state) throws InterruptedException {
    long deadline = System.nanoTime() + Duration.ofMinutes(2).toNanos();
    while (host.stateOf(id) != state) {
      assertThat(System.nanoTime()).as("time until it is " + state).isLessThan(deadline);
      Thread.sleep(20);
    }
  }
}
