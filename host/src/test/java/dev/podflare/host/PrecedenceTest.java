package dev.podflare.host;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Threads of a real process. Needs root. */
class PrecedenceTest {

  private static final String PROGRAM =
      """
      import os, sys, threading
      os.setsid()
      os.nice(5)
      def run(name, named):
          open(f'/proc/self/task/{threading.get_native_id()}/comm', 'w').write(name)
          named.release()
          sys.stdin.read()
      named = threading.Semaphore(0)
      for name in ('chosen', 'other'):
          threading.Thread(target=run, args=(name, named)).start()
          named.acquire()
      print('on', flush=True)
      run('main', named)
      """;

  /** Fields 19 and 41 of {@code /proc/PID/stat}, counted from the one after the name. */
  private static final int NICE = 16;

  private static final int POLICY = 38;

  private Process process;

  @BeforeEach
  void start() throws Exception {
    process =
        new ProcessBuilder("/usr/bin/python3", "-c", PROGRAM)
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    assertThat(process.inputReader().readLine()).isEqualTo("on");
  }

  @AfterEach
  void stop() throws Exception {
    process.destroyForcibly();
    assertThat(process.waitFor(10, TimeUnit.SECONDS)).isTrue();
  }

  @Test
  void all_threads_go_last_and_only_until_it_ends() throws Exception {
    Precedence.last(process.pid());

    assertThat(field(POLICY)).isEqualTo(List.of("chosen 5", "main 5", "other 5"));

    Precedence.usual(process.pid());

    assertThat(field(POLICY)).isEqualTo(List.of("chosen 0", "main 0", "other 0"));
    assertThat(field(NICE)).isEqualTo(List.of("chosen 5", "main 5", "other 5"));
  }

  @Test
  void a_process_that_has_ended_needs_no_precedence() throws Exception {
    stop();

    Precedence.last(process.pid());
    Precedence.usual(process.pid());
  }

  /** One of each thread's fields, after its name. */
  private List<String> field(int index) throws Exception {
    try (var threads = Files.list(Path.of("/proc/" + process.pid() + "/task"))) {
      return threads
          .map(PrecedenceTest::stat)
          .map(stat -> stat.get(0) + " " + stat.get(1 + index))
          .sorted()
          .toList();
    }
  }

  private static List<String> stat(Path thread) {
    try {
      String line = Files.readString(thread.resolve("stat"));
      int end = line.lastIndexOf(')');
      String name = line.substring(line.indexOf('(') + 1, end);
      return java.util.stream.Stream.concat(
              java.util.stream.Stream.of(name),
              java.util.Arrays.stream(line.substring(end + 2).strip().split(" ")))
          .toList();
    } catch (java.io.IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }
}
