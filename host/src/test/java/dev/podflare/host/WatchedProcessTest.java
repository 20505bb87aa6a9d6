package dev.podflare.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class WatchedProcessTest {

  private final List<Process> started = new ArrayList<>();

  @AfterEach
  void endAll() {
    started.forEach(Process::destroyForcibly);
  }

  private Process start(String... words) throws Exception {
    Process process =
        new ProcessBuilder(words).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    started.add(process);
    return process;
  }

  private Process startWithSibling(String mode) throws Exception {
    Path script = Path.of(WatchedProcessTest.class.getResource("/sibling.py").toURI());
    return start("python3", script.toString(), mode);
  }

  private static long pidFrom(Process process) throws Exception {
    return Long.parseLong(process.inputReader().readLine());
  }

  private static OptionalInt end(WatchedProcess process) throws Exception {
    return process.ended().get(60, TimeUnit.SECONDS);
  }

  private static Path procfs(long pid) {
    return Path.of("/proc", Long.toString(pid));
  }

  private static long parent(long pid) throws Exception {
    String stat = Files.readString(procfs(pid).resolve("stat"));
    return Long.parseLong(stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1)[1]);
  }

  @Test
  void a_child_that_java_did_not_start_is_reaped_and_its_code_known() throws Exception {
    Process script = startWithSibling("together");
    long pid = pidFrom(script);
    assertThat(parent(pid)).isEqualTo(ProcessHandle.current().pid());
    WatchedProcess sibling = WatchedProcess.child(pid);
    assertThat(sibling.identity()).isEqualTo(ProcessIdentity.of(pid).orElseThrow());
    assertThat(sibling.isAlive()).isTrue();
    assertThat(sibling.ended()).isNotDone();
    Duration before = sibling.cpuTime();
    script.getOutputStream().write(1);
    script.getOutputStream().flush();
    assertThat(end(sibling)).hasValue(7);
    assertThat(sibling.isAlive()).isFalse();
    assertThat(procfs(pid)).doesNotExist();
    assertThat(sibling.cpuTime()).isGreaterThan(before);
    sibling.kill();
    sibling.close();
  }

  @Test
  void a_child_outlives_who_made_it_and_can_be_ended() throws Exception {
    Process script = startWithSibling("alone");
    WatchedProcess sibling = WatchedProcess.child(pidFrom(script));
    assertThat(script.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(sibling.isAlive()).isTrue();
    sibling.kill();
    assertThat(end(sibling)).hasValue(128 + 9);
    assertThat(procfs(sibling.identity().pid())).doesNotExist();
  }

  @Test
  void a_child_that_ended_before_it_was_watched_is_reaped_too() throws Exception {
    Process script = startWithSibling("alone");
    long pid = pidFrom(script);
    assertThat(ProcessHandle.of(pid).orElseThrow().destroyForcibly()).isTrue();
    await(() -> ProcessIdentity.of(pid).isEmpty());
    assertThat(procfs(pid)).exists();
    assertThat(end(WatchedProcess.child(pid))).hasValue(128 + 9);
    assertThat(procfs(pid)).doesNotExist();
  }

  @Test
  void a_child_in_which_nobody_is_interested_any_more_is_reaped_when_it_ends() throws Exception {
    Process script = startWithSibling("alone");
    long pid = pidFrom(script);
    WatchedProcess sibling = WatchedProcess.child(pid);
    sibling.close();
    assertThat(ProcessHandle.of(pid).orElseThrow().destroyForcibly()).isTrue();
    await(() -> !Files.exists(procfs(pid)));
  }

  private interface Condition {
    boolean holds();
  }

  private static void await(Condition condition) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (!condition.holds()) {
      assertThat(System.nanoTime()).isLessThan(deadline);
      Thread.sleep(1);
    }
  }

  /** One whose parent has ended, so that another process reaps it. */
  private long startElsewhere() throws Exception {
    return pidFrom(start("sh", "-c", "sleep 1000 >/dev/null & echo $!"));
  }

  @Test
  void the_end_of_anothers_child_is_known_without_its_code() throws Exception {
    WatchedProcess other = WatchedProcess.other(startElsewhere());
    assertThat(other.isAlive()).isTrue();
    other.kill();
    assertThat(end(other)).isEmpty();
    assertThat(other.isAlive()).isFalse();
  }

  @Test
  void what_is_no_child_after_all_has_no_code() throws Exception {
    WatchedProcess other = WatchedProcess.child(startElsewhere());
    other.kill();
    assertThat(end(other)).isEmpty();
  }

  @Test
  void many_ends_are_heard_of() throws Exception {
    List<WatchedProcess> many = new ArrayList<>();
    for (int i = 0; i < 30; i++) {
      many.add(WatchedProcess.other(startElsewhere()));
    }
    for (WatchedProcess process : many) {
      process.kill();
    }
    for (WatchedProcess process : many) {
      assertThat(end(process)).isEmpty();
    }
  }

  @Test
  void a_child_of_java_is_left_to_java() throws Exception {
    Process process = start("sh", "-c", "read line; exit 5");
    WatchedProcess watched = WatchedProcess.other(process.pid());
    process.getOutputStream().close();
    assertThat(end(watched)).isEmpty();
    assertThat(process.waitFor()).isEqualTo(5);
  }

  @Test
  void one_that_is_closed_runs_on_and_can_not_be_ended_any_more() throws Exception {
    Process process = start("cat");
    WatchedProcess watched = WatchedProcess.other(process.pid());
    watched.close();
    watched.close();
    watched.kill();
    assertThat(watched.ended()).isCompletedExceptionally();
    assertThat(process.isAlive()).isTrue();
    process.getOutputStream().close();
    assertThat(process.waitFor()).isZero();
  }

  @Test
  void a_process_that_is_gone_can_not_be_watched() throws Exception {
    Process process = start("true");
    assertThat(process.waitFor()).isZero();
    await(() -> !Files.exists(procfs(process.pid())));
    assertThatThrownBy(() -> WatchedProcess.other(process.pid()))
        .isInstanceOf(NoSuchFileException.class)
        .hasMessageContaining("has ended");
    assertThatThrownBy(() -> WatchedProcess.child(process.pid()))
        .isInstanceOf(NoSuchFileException.class);
  }

  @Test
  void a_later_process_of_the_same_id_is_not_watched_for_it() throws Exception {
    Process process = start("cat");
    ProcessIdentity now = ProcessIdentity.of(process.pid()).orElseThrow();
    ProcessIdentity before = new ProcessIdentity(now.pid(), now.startTicks() - 1, now.bootId());
    assertThatThrownBy(() -> WatchedProcess.other(before)).isInstanceOf(NoSuchFileException.class);
    assertThat(WatchedProcess.other(now).isAlive()).isTrue();
  }

  @Test
  void processor_time_grows_as_it_is_used() throws Exception {
    Process busy = start("sh", "-c", "while :; do :; done");
    WatchedProcess watched = WatchedProcess.other(busy.pid());
    Duration first = watched.cpuTime();
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
    while (watched.cpuTime().minus(first).compareTo(Duration.ofMillis(50)) < 0) {
      assertThat(System.nanoTime()).isLessThan(deadline);
    }
    watched.kill();
    assertThat(end(watched)).isEmpty();
    assertThat(watched.cpuTime()).isGreaterThan(first);
  }

  @Test
  void nothing_is_kept_of_what_has_ended() throws Exception {
    long before = openPidfds();
    WatchedProcess ended = WatchedProcess.other(startElsewhere());
    assertThat(openPidfds()).isEqualTo(before + 1);
    ended.kill();
    assertThat(end(ended)).isEmpty();
    assertThat(openPidfds()).isEqualTo(before);
  }

  private static long openPidfds() throws Exception {
    long count = 0;
    try (var all = Files.newDirectoryStream(Path.of("/proc/self/fdinfo"))) {
      for (Path info : all) {
        if (Files.exists(info) && Files.readString(info).contains("NSpid:")) {
          count++;
        }
      }
    }
    return count;
  }
}
