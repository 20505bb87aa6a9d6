package dev.podflare.guest;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.guest.ExecCall.Language;
import dev.podflare.guest.GuestEvent.Closed;
import dev.podflare.guest.GuestEvent.Failure;
import dev.podflare.guest.GuestEvent.Output;
import dev.podflare.guest.GuestEvent.Reason;
import dev.podflare.guest.GuestEvent.Result;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Both ends of the protocol against each other: this one, and guest/agent on the host's Python. */
class RealAgentTest {

  private static final Duration LONG = Duration.ofSeconds(60);

  @TempDir private Path directory;
  private RealAgent agent;
  private AgentConnection connection;

  @BeforeEach
  void startAgent() throws Exception {
    agent = RealAgent.start(directory);
    connection = AgentConnection.over(agent.connect(), LONG);
    assertThat(connection.awaitHello(LONG).protocol()).isEqualTo(Hello.PROTOCOL);
  }

  @AfterEach
  void stopAgent() throws InterruptedException {
    connection.close();
    agent.stop();
  }

  private GuestExec exec(Language language, String code) throws Exception {
    return connection.exec(new ExecCall(language, code, Map.of(), Optional.empty()));
  }

  private List<GuestEvent> run(Language language, String code) throws Exception {
    var events = new ArrayList<GuestEvent>();
    try (GuestExec exec = exec(language, code)) {
      for (var event = exec.next(); event.isPresent(); event = exec.next()) {
        events.add(event.get());
      }
    }
    return events;
  }

  private static String output(List<GuestEvent> events, GuestEvent.Stream stream) {
    var text = new StringBuilder();
    for (GuestEvent event : events) {
      if (event instanceof Output output && output.stream() == stream) {
        text.append(output.text());
      }
    }
    return text.toString();
  }

  private static Closed closed(List<GuestEvent> events) {
    return (Closed) events.getLast();
  }

  @Test
  void pythonKeepsItsStateBetweenCallsAndGivesResults() throws Exception {
    run(Language.PYTHON, "x = 20");
    List<GuestEvent> events = run(Language.PYTHON, "print('hé')\nx + 1");
    assertThat(output(events, GuestEvent.Stream.STDOUT)).isEqualTo("hé\n");
    assertThat(events).contains(new Result(Map.of("text/plain", "21")));
    assertThat(closed(events))
        .satisfies(end -> {
          assertThat(end.exitCode()).isZero();
          assertThat(end.reason()).isEqualTo(Reason.OK);
          assertThat(end.stateKept()).isTrue();
        });
  }

  @Test
  void anUncaughtExceptionIsAFailure() throws Exception {
    List<GuestEvent> events = run(Language.PYTHON, "1/0");
    assertThat(events)
        .anySatisfy(event ->
            assertThat(event)
                .isInstanceOfSatisfying(
                    Failure.class,
                    failure -> assertThat(failure.name()).isEqualTo("ZeroDivisionError")));
    assertThat(closed(events).reason()).isEqualTo(Reason.ERROR);
  }

  @Test
  void bashRunsAndSaysItsExitCode() throws Exception {
    List<GuestEvent> events = run(Language.BASH, "printf 'out\\xff'; echo err >&2; exit 3");
    assertThat(output(events, GuestEvent.Stream.STDOUT)).isEqualTo("out\uFFFD");
    assertThat(output(events, GuestEvent.Stream.STDERR)).isEqualTo("err\n");
    assertThat(closed(events).exitCode()).isEqualTo(3);
  }

  @Test
  void codeIsInterruptedAndKeepsItsState() throws Exception {
    run(Language.PYTHON, "kept = 1");
    try (GuestExec exec = exec(Language.PYTHON, "print('on', end='')\nwhile True: pass")) {
      assertThat(exec.next()).contains(new Output(GuestEvent.Stream.STDOUT, "on"));
      exec.cancel(CancelReason.INTERRUPT);
      assertThat(exec.awaitEnd())
          .satisfies(end -> {
            assertThat(end.reason()).isEqualTo(Reason.INTERRUPTED);
            assertThat(end.stateKept()).isTrue();
          });
    }
    assertThat(run(Language.PYTHON, "kept")).contains(new Result(Map.of("text/plain", "1")));
  }

  @Test
  void outputBeyondTheCapIsCutAndSaid() throws Exception {
    List<GuestEvent> events = run(Language.BASH, "head -c 20000000 /dev/zero | tr '\\0' x");
    assertThat(output(events, GuestEvent.Stream.STDOUT)).hasSize(Math.toIntExact(Limits.OUTPUT));
    assertThat(closed(events).dropped()).isEqualTo(20_000_000 - Limits.OUTPUT);
  }

  @Test
  void codeWhoseOutputNobodyReadsAnyMoreRunsToItsEnd() throws Exception {
    GuestExec exec = exec(Language.PYTHON, "for i in range(100_000): print('x' * 50)\ndone = 1");
    exec.close();
    assertThat(exec.awaitEnd().reason()).isEqualTo(Reason.OK);
    assertThat(run(Language.PYTHON, "done")).contains(new Result(Map.of("text/plain", "1")));
  }

  @Test
  void aFileComesBackAsItWasPut() throws Exception {
    byte[] file = new byte[3_000_001];
    new Random(1).nextBytes(file);
    assertThat(connection.put("a/b.bin", OptionalInt.of(0640), new ByteArrayInputStream(file)))
        .isEqualTo(file.length);
    assertThat(connection.stat("a/b.bin"))
        .satisfies(entry -> {
          assertThat(entry.size()).isEqualTo(file.length);
          assertThat(entry.mode()).isEqualTo(0640);
          assertThat(entry.modified()).isBetween(Instant.now().minusSeconds(60), Instant.now());
        });
    try (GuestFile got = connection.get("a/b.bin")) {
      assertThat(got.size()).isEqualTo(OptionalLong.of(file.length));
      assertThat(got.content().readAllBytes()).isEqualTo(file);
    }
  }

  @Test
  void anUploadThatBreaksOffLeavesNoFile() throws Exception {
    var failure = new IOException("the client went away");
    InputStream broken = FailingStream.after(1_000_000, failure);
    assertThatThrownBy(() -> connection.put("half", OptionalInt.empty(), broken)).isSameAs(failure);
    connection.ping(LONG);
    assertThat(connection.list(".").entries()).isEmpty();
  }

  @Test
  void aDownloadThatIsClosedEarlyFreesTheStream() throws Exception {
    try (var file = Files.newOutputStream(agent.home().resolve("big"))) {
      file.write(new byte[4_000_000]);
    }
    for (int i = 0; i < 2 * Limits.STREAMS; i++) {
      try (GuestFile got = connection.get("big")) {
        assertThat(got.content().read()).isZero();
      }
      connection.ping(LONG);
    }
  }

  @Test
  void aFileOfTheKernelHasTheSizeOfItsContent() throws Exception {
    try (GuestFile got = connection.get("/proc/version")) {
      String content = new String(got.content().readAllBytes(), UTF_8);
      assertThat(content).contains("Linux");
      assertThat(got.size()).isEqualTo(OptionalLong.of(content.length()));
    }
  }

  @Test
  void directoriesAreListedAndRemoved() throws Exception {
    connection.put("d/f", OptionalInt.empty(), new ByteArrayInputStream(new byte[3]));
    GuestListing listing = connection.list(".");
    assertThat(listing.truncated()).isFalse();
    assertThat(listing.entries())
        .singleElement()
        .satisfies(entry -> {
          assertThat(entry.name()).isEqualTo("d");
          assertThat(entry.type()).isEqualTo(GuestEntry.Type.DIRECTORY);
        });
    connection.remove("d", true);
    assertThat(connection.list(".").entries()).isEmpty();
  }

  @Test
  void whatIsNotThereIsRefused() {
    for (var attempt :
        List.<org.assertj.core.api.ThrowableAssert.ThrowingCallable>of(
            () -> connection.get("nothing"),
            () -> connection.stat("nothing"),
            () -> connection.list("nothing"),
            () -> connection.remove("nothing", false))) {
      assertThatThrownBy(attempt)
          .isInstanceOfSatisfying(
              GuestRefusedException.class,
              refused -> assertThat(refused.code()).isEqualTo("not_found"));
    }
  }

  @Test
  void aCloneWakesWithItsEnvironment() throws Exception {
    connection.wake(
        Wake.ofTemplate(Entropy.fresh(), Instant.now(), "sbx", Map.of("WOKEN", "yes"), 3), LONG);
    assertThat(run(Language.PYTHON, "import os; os.environ['WOKEN']"))
        .contains(new Result(Map.of("text/plain", "'yes'")));
    assertThat(output(run(Language.BASH, "echo $WOKEN"), GuestEvent.Stream.STDOUT))
        .isEqualTo("yes\n");
  }

  @Test
  void anAgentThatDiesIsALoss() throws Exception {
    GuestExec exec = exec(Language.BASH, "sleep 20");
    agent.kill();
    assertThatThrownBy(exec::awaitEnd).isInstanceOf(GuestLostException.class);
    assertThat(connection.lost().get(60, TimeUnit.SECONDS).kind()).isEqualTo(GuestLoss.Kind.ENDED);
  }

  // ---- terminals ----

  private static TerminalCall shell(String cmd) {
    return new TerminalCall("pty_1", cmd, 100, 30, Optional.empty(), Instant.ofEpochMilli(7));
  }

  private static String read(GuestTerminal terminal, String until) throws Exception {
    var text = new StringBuilder();
    while (text.indexOf(until) < 0) {
      text.append(UTF_8.decode(terminal.next().orElseThrow()));
    }
    return text.toString();
  }

  @Test
  void aTerminalEchoesWhatIsTypedAndEndsWithItsProgram() throws Exception {
    GuestTerminal terminal = connection.terminal(shell("stty size; read x; exit $x"));
    assertThat(read(terminal, "\n")).isEqualTo("30 100\r\n");
    assertThat(terminal.write("42\r".getBytes(UTF_8), LONG)).isTrue();
    assertThat(read(terminal, "\n")).isEqualTo("42\r\n");
    assertThat(terminal.exitCode()).isEqualTo(42);
    assertThat(terminal.next()).isEmpty();
  }

  @Test
  void aProgramInTheForegroundIsToldFromNone() throws Exception {
    assertThat(connection.busyTerminals(LONG)).isZero();
    GuestTerminal terminal = connection.terminal(shell("echo on; exec sleep 600"));
    read(terminal, "on");
    assertThat(connection.busyTerminals(LONG)).isEqualTo(1);
    terminal.signal("SIGKILL");
    assertThat(terminal.exitCode()).isEqualTo(137);
    assertThat(connection.busyTerminals(LONG)).isZero();
  }

  @Test
  void aTerminalHearsOfItsSizeAndOfSignals() throws Exception {
    GuestTerminal terminal =
        connection.terminal(
            shell(
                "trap 'stty size' WINCH; trap 'exit 3' TERM; echo on; while :; do sleep .02; done"));
    read(terminal, "on");
    terminal.resize(9, 8);
    read(terminal, "8 9");
    terminal.signal("SIGTERM");
    assertThat(terminal.exitCode()).isEqualTo(3);
  }

  @Test
  void muchGoesThroughATerminalInBothDirections() throws Exception {
    GuestTerminal terminal =
        connection.terminal(shell("stty raw -echo; echo on; head -c 1500000 | md5sum; seq 200000"));
    read(terminal, "on");
    byte[] typed = new byte[1_500_000];
    new Random(7).nextBytes(typed);
    assertThat(terminal.write(typed, LONG)).isTrue();
    String digest =
        java.util.HexFormat.of()
            .formatHex(java.security.MessageDigest.getInstance("MD5").digest(typed));
    assertThat(read(terminal, "\n200000\n")).contains(digest);
    assertThat(terminal.exitCode()).isZero();
  }

  @Test
  void aTerminalThatIsClosedIsKilled() throws Exception {
    GuestTerminal terminal =
        connection.terminal(shell("trap '' HUP TERM INT; sleep 60 & wait; wait"));
    terminal.close();
    assertThat(terminal.exitCode()).isEqualTo(137);
  }

  @Test
  void aTerminalThatCanNotStartIsRefused() {
    var nowhere =
        new TerminalCall("n", "true", 80, 24, Optional.of("/nowhere"), Instant.ofEpochMilli(7));
    assertThatThrownBy(() -> connection.terminal(nowhere))
        .isInstanceOfSatisfying(
            GuestRefusedException.class,
            refused -> assertThat(refused.code()).isEqualTo("bad_cwd"));
  }

  @Test
  void aSparseFileStaysSparseFromGuestToGuest() throws Exception {
    String path = agent.home().toRealPath().resolve("sparse").toString();
    String write =
        """
        import os
        with open('sparse', 'wb') as f:
            f.truncate(3 << 30)
            for at in (0, 1 << 30, (1 << 31) + 5): f.seek(at); f.write(b'content')
        before = os.stat('sparse')
        """;
    assertThat(closed(run(Language.PYTHON, write)).exitCode()).isZero();

    try (GuestArchive archive = connection.pack(List.of(path))) {
      connection.unpack(archive, List.of());
    }

    String compare =
        """
        after = os.stat('sparse')
        print(after.st_ino != before.st_ino, after.st_size == 3 << 30, after.st_blocks == before.st_blocks)
        """;
    assertThat(output(run(Language.PYTHON, compare), GuestEvent.Stream.STDOUT))
        .isEqualTo("True True True\n");
    String read = "f = open('sparse', 'rb'); f.seek((1 << 31) + 3); print(f.read(10))";
    assertThat(output(run(Language.PYTHON, read), GuestEvent.Stream.STDOUT))
        .isEqualTo("b'\\x00\\x00content\\x00'\n");
  }

  @Test
  void aSparseFileIsReadWithItsHoles() throws Exception {
    String write =
        """
        with open('sparse', 'wb') as f:
            f.truncate(1 << 30)
            for at in (5, 1 << 20, (1 << 29) + 1): f.seek(at); f.write(b'content')
        """;
    assertThat(closed(run(Language.PYTHON, write)).exitCode()).isZero();

    try (GuestFile file = connection.get("sparse")) {
      assertThat(file.size()).hasValue(1L << 30);
      byte[] begin = file.content().readNBytes(12);
      assertThat(begin).isEqualTo("\0\0\0\0\0content".getBytes(UTF_8));
      file.content().skipNBytes((1L << 29) + 1 - 12);
      assertThat(file.content().readNBytes(7)).isEqualTo("content".getBytes(UTF_8));
      file.content().skipNBytes((1L << 29) - 8);
      assertThat(file.content().read()).isEqualTo(-1);
    }
  }

  @Test
  void theContentOfASparseFileHasZerosForItsHoles() throws Exception {
    Path home = agent.home().toRealPath();
    String write =
        "with open('a', 'wb') as f:\n    f.seek(100_000); f.write(b'x'); f.truncate(300_000)\n"
            + "open('b', 'w').write('behind it')";
    assertThat(closed(run(Language.PYTHON, write)).exitCode()).isZero();
    byte[] expected = new byte[300_000];
    expected[100_000] = 'x';
    List<String> paths = List.of(home.resolve("a").toString(), home.resolve("b").toString());

    try (GuestArchive archive = connection.pack(paths)) {
      assertThat(archive.next()).hasValueSatisfying(a -> assertThat(a.size()).isEqualTo(300_000));
      assertThat(archive.content().readAllBytes()).isEqualTo(expected);
      assertThat(archive.next()).isPresent();
      assertThat(archive.content().readAllBytes()).isEqualTo("behind it".getBytes(UTF_8));
      assertThat(archive.next()).isEmpty();
    }
    try (GuestArchive archive = connection.pack(paths)) {
      assertThat(archive.next()).isPresent();
      assertThat(archive.next()).as("content that nobody read is passed over").isPresent();
      assertThat(archive.content().readAllBytes()).isEqualTo("behind it".getBytes(UTF_8));
    }
  }
}
