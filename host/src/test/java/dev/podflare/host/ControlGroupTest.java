package dev.podflare.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;

/** On the control groups of this host, version 1 or 2. Needs root. */
class ControlGroupTest {

  private static final long MEMORY = 64L << 20;
  private static final int TASKS = 8;

  private static final String STARTS_THREADS_AND_COUNTS_THEM =
      """
      import threading
      end = threading.Event()
      started = 1
      try:
          for _ in range(100):
              threading.Thread(target=end.wait, daemon=True).start()
              started += 1
      except RuntimeError:
          pass
      print(started, flush=True)
      end.set()
      """;

  private static ControlGroup create() throws HostException {
    return ControlGroup.create(name(), MEMORY, TASKS);
  }

  private static String name() {
    return "test-" + UUID.randomUUID();
  }

  /** Starts Python that is in the group before its first line runs. */
  private static Process startIn(ControlGroup group, String code) throws Exception {
    List<String> words =
        new ArrayList<>(
            List.of(
                "sh",
                "-c",
                "code=$1; shift; for f; do echo $$ > $f; done; exec python3 -c \"$code\"",
                "sh",
                code));
    group.procsFiles().forEach(file -> words.add(file.toString()));
    return new ProcessBuilder(words).redirectErrorStream(true).start();
  }

  /** The kernel takes a process out of its group a moment after its parent learns of its end. */
  private static void closeOnceEmpty(ControlGroup group) throws HostException {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
    while (true) {
      try {
        group.close();
        return;
      } catch (HostException busy) {
        if (System.nanoTime() > deadline) {
          throw busy;
        }
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(1));
      }
    }
  }

  @Test
  void this_host_can_set_all_limits_and_says_so() throws Exception {
    assertThat(ControlGroup.unavailable()).isEmpty();
    try (ControlGroup group = create()) {
      assertThat(group.missing()).isEmpty();
    }
  }

  @Test
  void a_process_that_takes_more_memory_than_allowed_is_killed() throws Exception {
    ControlGroup group = create();
    Process greedy = startIn(group, "print('in', flush=True); x = bytearray(512 << 20); print(1)");
    String said = new String(greedy.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(greedy.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(greedy.exitValue()).as(said).isEqualTo(128 + 9);
    assertThat(said).isEqualTo("in\n");
    closeOnceEmpty(group);
  }

  @Test
  void a_process_can_not_have_more_threads_than_allowed() throws Exception {
    ControlGroup group = create();
    Process many = startIn(group, STARTS_THREADS_AND_COUNTS_THEM);
    String said = new String(many.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    assertThat(many.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(said).isEqualTo(Integer.toString(TASKS));
    closeOnceEmpty(group);
  }

  @Test
  void limits_can_be_set_once_a_process_is_in_it() throws Exception {
    ControlGroup group = ControlGroup.create(name());
    Process process =
        new ProcessBuilder(
                "python3",
                "-c",
                """
                import sys
                print("there", flush=True)
                sys.stdin.readline()
                """
                    + STARTS_THREADS_AND_COUNTS_THEM
                    + """
                    x = bytearray(512 << 20)
                    print("still there", flush=True)
                    """)
            .start();
    assertThat(process.inputReader().readLine()).isEqualTo("there");
    group.add(process.pid());
    for (Path procs : group.procsFiles()) {
      assertThat(procs).hasContent(Long.toString(process.pid()));
    }
    group.limit(1L << 30, 100);
    group.limit(MEMORY, TASKS);
    assertThat(group.missing()).isEmpty();
    process.getOutputStream().write('\n');
    process.getOutputStream().flush();
    assertThat(process.inputReader().readLine()).isEqualTo(Integer.toString(TASKS));
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).isEqualTo(128 + 9);
    closeOnceEmpty(group);
  }

  @Test
  void a_process_that_is_gone_can_not_be_added() throws Exception {
    try (ControlGroup group = ControlGroup.create(name())) {
      assertThatThrownBy(() -> group.add(Integer.MAX_VALUE))
          .isInstanceOf(HostException.class)
          .hasMessageContaining("process 2147483647 can't be moved");
    }
  }

  @Test
  void its_memory_is_what_its_processes_hold_and_no_file() throws Exception {
    ControlGroup group = ControlGroup.create(name(), 256L << 20, TASKS);
    Path file = Files.createTempFile("control-group-test-", "");
    Process process =
        startIn(
            group,
            """
            import sys
            with open("%s", "r+b") as file:
                file.write(bytes(64 << 20))
                file.seek(0)
                file.read()
            print("files", flush=True)
            sys.stdin.readline()
            held = bytearray(32 << 20)
            for page in range(0, len(held), 4096):
                held[page] = 1
            print("memory", flush=True)
            sys.stdin.readline()
            """
                .formatted(file));
    try {
      assertThat(process.inputReader().readLine()).isEqualTo("files");
      long before = group.memoryBytes().orElseThrow();
      // What Python had read is gone by now; the pages of the file are not counted at all.
      assertThat(before).isLessThan(32L << 20);
      process.getOutputStream().write('\n');
      process.getOutputStream().flush();
      assertThat(process.inputReader().readLine()).isEqualTo("memory");
      assertThat(group.memoryBytes().orElseThrow() - before).isBetween(31L << 20, 40L << 20);
    } finally {
      process.destroyForcibly();
      Files.delete(file);
    }
    closeOnceEmpty(group);
    assertThatThrownBy(group::memoryBytes).isInstanceOf(HostException.class);
  }

  @Test
  void closing_removes_it_and_can_be_done_twice() throws Exception {
    ControlGroup group = create();
    List<Path> directories = group.procsFiles().stream().map(Path::getParent).toList();
    assertThat(directories).isNotEmpty().allMatch(Files::isDirectory);
    group.close();
    assertThat(directories).noneMatch(Files::exists);
    group.close();
  }

  @Test
  void one_with_a_process_in_it_can_not_be_closed_and_stays() throws Exception {
    ControlGroup group = create();
    Process inside = startIn(group, "print('in', flush=True); input()");
    assertThat(inside.inputReader().readLine()).isEqualTo("in");
    assertThatThrownBy(group::close)
        .isInstanceOf(HostException.class)
        .hasMessageContaining("can't be removed");
    assertThat(group.procsFiles()).allMatch(Files::exists);
    inside.destroyForcibly();
    assertThat(inside.waitFor(60, TimeUnit.SECONDS)).isTrue();
    closeOnceEmpty(group);
  }

  @Test
  void one_of_an_earlier_process_is_found_by_its_name() throws Exception {
    String name = name();
    ControlGroup made = ControlGroup.create(name, MEMORY, TASKS);
    ControlGroup found = ControlGroup.existing(name);
    assertThat(found.procsFiles()).containsExactlyInAnyOrderElementsOf(made.procsFiles());
    found.close();
    assertThat(made.procsFiles()).noneMatch(Files::exists);
  }

  @Test
  void one_that_never_was_can_be_closed() throws Exception {
    ControlGroup none = ControlGroup.existing(name());
    assertThat(none.procsFiles()).isEmpty();
    none.close();
  }

  @Test
  void groups_that_come_and_go_at_once_do_not_lose_their_limits() throws Exception {
    Callable<List<String>> comeAndGo =
        () -> {
          List<String> missing = new ArrayList<>();
          for (int i = 0; i < 50; i++) {
            try (ControlGroup group = create()) {
              missing.addAll(group.missing());
            }
          }
          return missing;
        };
    try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
      var all = threads.invokeAll(List.of(comeAndGo, comeAndGo, comeAndGo), 150, TimeUnit.SECONDS);
      for (Future<List<String>> missing : all) {
        assertThat(missing.get()).isEmpty();
      }
    }
  }
}
