package dev.podflare.guest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.guest.ExecCall.Language;
import dev.podflare.guest.GuestEvent.Closed;
import dev.podflare.guest.GuestEvent.Reason;
import dev.podflare.guest.GuestEvent.Result;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A host that takes over from another, wherever that was cut off: against the real agent. */
class ResumeTest {

  private static final Duration LONG = Duration.ofSeconds(60);

  @TempDir private Path directory;
  private RealAgent agent;
  private AgentConnection connection;
  private ResyncToken token;

  @BeforeEach
  void startAgent() throws Exception {
    agent = RealAgent.start(directory);
    connection = AgentConnection.over(agent.connect(), LONG);
    token = connection.awaitHello(LONG).resync();
  }

  @AfterEach
  void stopAgent() throws Exception {
    connection.close();
    agent.stop();
  }

  private void takeOver() throws Exception {
    connection.close();
    connection = AgentConnection.resume(agent.connect(), token, LONG);
  }

  private GuestExec exec(String code) throws Exception {
    return connection.exec(new ExecCall(Language.PYTHON, code, Map.of(), Optional.empty()));
  }

  private List<GuestEvent> run(String code) throws Exception {
    var events = new ArrayList<GuestEvent>();
    try (GuestExec exec = exec(code)) {
      for (var event = exec.next(); event.isPresent(); event = exec.next()) {
        events.add(event.get());
      }
    }
    return events;
  }

  private void awaitWhatRunsStill() throws Exception {
    Optional<GuestExec> before = connection.rejoin();
    if (before.isPresent()) {
      before.get().awaitEnd();
    }
  }

  @Test
  void stateIsKeptAndCallsAreAnswered() throws Exception {
    run("x = 20");
    takeOver();
    assertThat(run("x + 1")).contains(new Result(Map.of("text/plain", "21")));
    takeOver();
    assertThat(run("x + 2")).contains(new Result(Map.of("text/plain", "22")));
  }

  /** What a host says, as frames, before it is cut off. */
  private byte[] conversation(int stream) throws IOException {
    var bytes = new ByteArrayOutputStream();
    String exec =
        "{\"op\":\"exec\",\"language\":\"python\",\"code\":\"print('x' * 200)\\n7\",\"env\":{},"
            + "\"cwd\":null}";
    bytes.write(ScriptedGuest.frame(FrameKind.OPEN, stream, ScriptedGuest.bytes(exec)));
    String put = "{\"op\":\"put\",\"path\":\"f\",\"mode\":null}";
    bytes.write(ScriptedGuest.frame(FrameKind.OPEN, stream + 1, ScriptedGuest.bytes(put)));
    bytes.write(ScriptedGuest.frame(FrameKind.DATA, stream + 1, ScriptedGuest.bytes("content")));
    bytes.write(ScriptedGuest.frame(FrameKind.END, stream + 1, new byte[0]));
    String get = "{\"op\":\"get\",\"path\":\"/proc/version\"}";
    bytes.write(ScriptedGuest.frame(FrameKind.OPEN, stream + 2, ScriptedGuest.bytes(get)));
    return bytes.toByteArray();
  }

  @Test
  void cutInBothDirectionsAtAnyByteNothingIsMisread() throws Exception {
    var random = new Random(3);
    connection.close();
    for (int round = 0; round < 150; round++) {
      try (SocketChannel other = agent.connect()) {
        byte[] words = new Resync(token).words();
        byte[] talk = conversation(1_000_000 + 3 * round);
        int heard = random.nextInt(4) == 0 ? random.nextInt(words.length) : words.length;
        other.write(ByteBuffer.wrap(words, 0, heard));
        if (heard == words.length) {
          other.write(ByteBuffer.wrap(talk, 0, random.nextInt(talk.length + 1)));
          ByteBuffer some = ByteBuffer.allocate(1 + random.nextInt(100));
          while (some.position() < words.length && some.hasRemaining()) {
            other.read(some);
          }
        }
      }
      takeOver();
      connection.ping(LONG);
      awaitWhatRunsStill();
      assertThat(run("1 + " + round))
          .contains(new Result(Map.of("text/plain", String.valueOf(1 + round))));
      connection.close();
    }
    takeOver();
    assertThat(connection.list(".").entries())
        .allSatisfy(entry -> assertThat(entry.name()).doesNotStartWith(".podflare"));
  }

  @Test
  void codeRunsOnAndIsRejoined() throws Exception {
    GuestExec before =
        exec(
            "import os, time\nprint('on', flush=True)\nwhile not os.path.exists('go'):\n"
                + "    time.sleep(0.01)\nprint('unheard')\nkept = 7");
    assertThat(before.next()).isPresent();
    takeOver();
    assertThatThrownBy(before::awaitEnd).isInstanceOf(GuestLostException.class);
    GuestExec rejoined = connection.rejoin().orElseThrow();
    assertThat(rejoined.next(Duration.ofMillis(100))).isEmpty();
    Files.createFile(agent.home().resolve("go"));
    assertThat(rejoined.next())
        .hasValueSatisfying(event -> assertThat(((Closed) event).reason()).isEqualTo(Reason.OK));
    assertThat(rejoined.next()).isEmpty();
    assertThat(run("kept")).contains(new Result(Map.of("text/plain", "7")));
    assertThat(connection.rejoin()).isEmpty();
  }

  @Test
  void rejoinedCodeCanBeStopped() throws Exception {
    GuestExec before = exec("import time\nprint('on', flush=True)\ntime.sleep(60)");
    assertThat(before.next()).isPresent();
    takeOver();
    assertThat(wake().running()).isTrue();
    GuestExec rejoined = connection.rejoin().orElseThrow();
    rejoined.close();
    rejoined.cancel(CancelReason.INTERRUPT);
    assertThat(rejoined.awaitEnd().reason()).isEqualTo(Reason.INTERRUPTED);
    assertThat(wake().running()).isFalse();
  }

  private Woken wake() throws Exception {
    var wake =
        new Wake(
            Entropy.fresh(), Instant.now(), "sbx", Map.of(), 3, "52:54:00:00:00:01", true, false);
    return connection.wake(wake, LONG);
  }

  @Test
  void wakeTellsTheTimeThatTheGuestHad() throws Exception {
    Instant before = Instant.now().minusSeconds(1);
    assertThat(wake().guestTime()).isBetween(before, Instant.now().plusSeconds(1));
  }

  @Test
  void aFileMayHoldTheToken() throws Exception {
    byte[] mark = token.bytes();
    var content = new ByteArrayOutputStream();
    var random = new Random(5);
    for (int i = 0; i < 400; i++) {
      content.write(mark, 0, random.nextInt(4) == 0 ? random.nextInt(mark.length) : mark.length);
      content.write(new byte[random.nextInt(3) * random.nextInt(300)]);
    }
    content.write(new Resync(token).words());
    // A block that begins with the end of the token, behind a header that could be its beginning.
    for (int i = 0; i < 300; i++) {
      byte[] end = Arrays.copyOfRange(mark, 1 + i % 4, mark.length);
      connection.put("small", OptionalInt.empty(), new ByteArrayInputStream(end));
      assertThat(Files.readAllBytes(agent.home().resolve("small"))).isEqualTo(end);
    }
    connection.put("f", OptionalInt.empty(), new ByteArrayInputStream(content.toByteArray()));
    try (GuestFile file = connection.get("f")) {
      assertThat(file.content().readAllBytes()).isEqualTo(content.toByteArray());
    }
    takeOver();
    connection.put("g", OptionalInt.empty(), new ByteArrayInputStream(content.toByteArray()));
    assertThat(Files.readAllBytes(agent.home().resolve("g"))).isEqualTo(content.toByteArray());
  }

  @Test
  void whatEndsLikeATokenBeginsIsAnsweredAtOnce() throws Exception {
    // Numbers of streams and credits of all sorts: none may wait for what comes next.
    byte[] ones = new byte[1000];
    Arrays.fill(ones, (byte) 0xFF);
    for (int i = 0; i < 300; i++) {
      connection.put("f", OptionalInt.empty(), new ByteArrayInputStream(ones, 0, 1 + i));
      connection.ping(LONG);
    }
    var count = new int[1];
    try (GuestExec exec = exec("for i in range(3000): print('x' * (i % 700), flush=True)")) {
      for (var event = exec.next(); event.isPresent(); event = exec.next()) {
        if (event.get() instanceof GuestEvent.Output output) {
          count[0] += output.text().length();
        }
      }
    }
    assertThat(count[0]).isEqualTo(sumOfLines());
  }

  private static int sumOfLines() {
    int sum = 0;
    for (int i = 0; i < 3000; i++) {
      sum += i % 700 + 1;
    }
    return sum;
  }

  @Test
  void anotherTokenIsNotAnswered() throws Exception {
    connection.close();
    SocketChannel channel = agent.connect();
    ResyncToken other = ResyncToken.parse("ff" + "fe".repeat(31));
    assertThatThrownBy(() -> AgentConnection.resume(channel, other, Duration.ofMillis(300)))
        .isInstanceOf(GuestException.class);
    assertThat(channel.isOpen()).isFalse();
  }

  @Test
  void aTerminalGoesOnAndIsTakenOverByItsName() throws Exception {
    var call =
        new TerminalCall(
            "pty_1",
            "read x; echo got $x; exit 5",
            90,
            20,
            Optional.empty(),
            Instant.ofEpochMilli(7));
    GuestTerminal before = connection.terminal(call);
    assertThat(before.write(ScriptedGuest.bytes("one "), LONG)).isTrue();
    assertThat(before.next()).isPresent(); // its echo: so it has been typed
    takeOver();

    List<GuestTerminalInfo> told = connection.terminals();
    assertThat(told)
        .singleElement()
        .satisfies(terminal -> {
          assertThat(terminal.name()).isEqualTo("pty_1");
          assertThat(terminal.cmd()).isEqualTo(call.cmd());
          assertThat(terminal.pid()).isEqualTo(before.pid());
          assertThat(terminal.created()).isEqualTo(call.created());
        });
    GuestTerminal after = connection.rejoin(told.getFirst());
    assertThat(after.write(ScriptedGuest.bytes("two\r"), LONG)).isTrue();
    var output = new ByteArrayOutputStream();
    for (var piece = after.next(); piece.isPresent(); piece = after.next()) {
      output.write(piece.get().array(), 0, piece.get().limit());
    }
    assertThat(output.toString(java.nio.charset.StandardCharsets.UTF_8)).contains("got one two");
    assertThat(after.exitCode()).isEqualTo(5);
    assertThat(connection.terminals()).isEmpty();
  }
}
