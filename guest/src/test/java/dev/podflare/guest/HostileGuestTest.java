package dev.podflare.guest;

import static dev.podflare.guest.ScriptedGuest.bytes;
import static dev.podflare.guest.ScriptedGuest.header;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.guest.ExecCall.Language;
import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HostileGuestTest {

  private static final ExecCall CODE =
      new ExecCall(Language.PYTHON, "1", Map.of(), Optional.empty());

  private ScriptedGuest guest;
  private AgentConnection host;

  @BeforeEach
  void start() throws IOException {
    guest = ScriptedGuest.start();
    host = guest.host();
  }

  @AfterEach
  void stop() throws IOException {
    guest.close();
  }

  /** The connection has ended because the guest did this, and no frame is read any more. */
  private void assertViolation(String whatTheGuestDid) throws Exception {
    GuestLoss loss = host.lost().get(60, TimeUnit.SECONDS);
    assertThat(loss.kind()).isEqualTo(GuestLoss.Kind.VIOLATION);
    assertThat(loss.sentence())
        .startsWith("The guest broke the agent protocol: ")
        .contains(whatTheGuestDid)
        .endsWith(".");
    assertThatThrownBy(() -> host.exec(CODE)).isInstanceOf(GuestLostException.class);
    guest.awaitHostLeaving();
  }

  private int openExec() throws Exception {
    host.exec(CODE);
    return guest.receiveOpen();
  }

  /** A call that waits while the guest answers it. */
  private static <T> CompletableFuture<T> calling(Callable<T> call) {
    var result = new CompletableFuture<T>();
    Thread.ofVirtual()
        .start(() -> {
          try {
            result.complete(call.call());
          } catch (Exception failure) {
            result.completeExceptionally(failure);
          }
        });
    return result;
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 7, 15, 24, 127, 128, 255})
  void aFrameOfAnUnknownKindIsAViolation(int kind) throws Exception {
    guest.sendRaw(header(0, kind, 0));
    assertViolation("unknown kind " + kind);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3, 5, 6})
  void aFrameThatOnlyTheHostSendsIsAViolation(int kind) throws Exception {
    guest.sendRaw(header(0, kind, 0));
    assertViolation("which only the host sends");
  }

  @ParameterizedTest
  @ValueSource(ints = {-1, Integer.MIN_VALUE, Integer.MAX_VALUE, Limits.PAYLOAD + 1})
  void aFrameThatIsTooLongIsAViolationBeforeItsPayloadComes(int length) throws Exception {
    guest.sendRaw(header(length, FrameKind.RESULT.number(), openExec()));
    assertViolation("announced RESULT of");
  }

  @Test
  void outputInFramesBeyondABlockIsAViolation() throws Exception {
    guest.sendRaw(header(Limits.BLOCK + 1, FrameKind.STDOUT.number(), openExec()));
    assertViolation("announced STDOUT of 65,537 bytes");
  }

  @Test
  void aFrameOnAStreamThatWasNeverOpenedIsAViolation() throws Exception {
    guest.send(FrameKind.STDOUT, openExec() + 1, "x");
    assertViolation("sent STDOUT on a stream that was never opened");
  }

  @ParameterizedTest
  @ValueSource(ints = {0, -1, Integer.MIN_VALUE, Integer.MAX_VALUE})
  void aFrameOnAnImpossibleStreamIsAViolation(int stream) throws Exception {
    openExec();
    guest.send(FrameKind.STDOUT, stream, "x");
    assertViolation("never opened");
  }

  @Test
  void aFrameOnAStreamThatTheGuestHasClosedIsAViolation() throws Exception {
    int stream = openExec();
    guest.closeExec(stream);
    guest.closeExec(stream);
    assertViolation("sent CLOSED on a stream that is closed");
  }

  @Test
  void aFrameThatDoesNotBelongToTheOperationIsAViolation() throws Exception {
    guest.send(FrameKind.DATA, openExec(), "x");
    assertViolation("sent DATA in 'exec'");
  }

  @Test
  void overdrawingTheCreditIsAViolation() throws Exception {
    int stream = openExec();
    for (int i = 0; i < 4; i++) {
      guest.send(FrameKind.STDOUT, stream, new byte[Limits.BLOCK]);
    }
    guest.send(FrameKind.STDOUT, stream, "x");
    assertViolation("more in 'exec' than its credit");
  }

  @Test
  void creditForBytesThatWereNeverSentIsAViolation() throws Exception {
    var put = calling(() -> host.put("f", OptionalInt.empty(), InputStream.nullInputStream()));
    guest.sendCredit(guest.receiveOpen(), -1);
    assertThatThrownBy(put::join).hasCauseInstanceOf(GuestLostException.class);
    assertViolation("gave credit for bytes that it was never sent");
  }

  @Test
  void creditWhereNothingIsSentIsAViolation() throws Exception {
    guest.sendCredit(openExec(), 0);
    assertViolation("gave credit");
  }

  @Test
  void creditThatIsNoNumberIsAViolation() throws Exception {
    guest.send(FrameKind.CREDIT, openExec(), "12");
    assertViolation("sent CREDIT of 2 bytes");
  }

  @Test
  void aSecondHelloIsAViolation() throws Exception {
    guest.sayHello();
    guest.sayHello();
    assertViolation("sent HELLO twice");
  }

  @Test
  void aHelloInAnotherVersionIsAViolation() throws Exception {
    guest.send(FrameKind.HELLO, 0, "{\"protocol\":3}");
    assertViolation("speaks version 3, and this host speaks 2");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"protocol\":2}",
        "{\"protocol\":2,\"resync\":7}",
        "{\"protocol\":2,\"resync\":\"ff\"}",
        "{\"protocol\":2,\"resync\":\""
            + "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\"}",
        "{\"protocol\":2,\"resync\":\""
            + "ff80808080808080808080808080808080808080808080808080808080807f80\"}",
        "{\"protocol\":2,\"resync\":\""
            + "ff8080808080808080808080808080808080808080808080808080808080zz80\"}",
      })
  void aHelloWithoutATokenThatTheHostCouldUseIsAViolation(String json) throws Exception {
    guest.send(FrameKind.HELLO, 0, json);
    assertViolation("resync");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "{", "[]", "1", "\"x\"", "{\"protocol\":1}{}", "{'protocol':1}"})
  void aHelloThatIsNoObjectIsAViolation(String json) throws Exception {
    guest.send(FrameKind.HELLO, 0, json);
    assertViolation("sent");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{}",
        "{\"ok\":true}",
        "{\"ok\":1,\"exit_code\":0}",
        "{\"ok\":false,\"code\":\"No Such Code\",\"error\":\"x\"}",
        "{\"ok\":false}",
        "{\"ok\":true,\"exit_code\":4294967296,\"reason\":\"ok\",\"state_kept\":true,"
            + "\"duration_ms\":1}",
        "{\"ok\":true,\"exit_code\":99999999999999999999,\"reason\":\"ok\",\"state_kept\":true,"
            + "\"duration_ms\":1}",
        "{\"ok\":true,\"exit_code\":0.5,\"reason\":\"ok\",\"state_kept\":true,\"duration_ms\":1}",
        "{\"ok\":true,\"exit_code\":0,\"reason\":\"OK\",\"state_kept\":true,\"duration_ms\":1}",
        "{\"ok\":true,\"exit_code\":0,\"reason\":\"ok\",\"state_kept\":\"yes\",\"duration_ms\":1}",
        "{\"ok\":true,\"exit_code\":0,\"reason\":\"ok\",\"state_kept\":true,\"duration_ms\":-1}",
        "{\"ok\":true,\"exit_code\":0,\"reason\":\"ok\",\"state_kept\":true,\"duration_ms\":1,"
            + "\"dropped\":-1}",
        "{\"ok\":true,\"x\":[[[[[[[[[[[[]]]]]]]]]]]]}",
      })
  void anExecThatClosesWithNonsenseIsAViolation(String json) throws Exception {
    GuestExec exec = host.exec(CODE);
    guest.send(FrameKind.CLOSED, guest.receiveOpen(), json);
    assertThatThrownBy(exec::next).isInstanceOf(GuestLostException.class);
    assertViolation("it ");
  }

  @ParameterizedTest
  @ValueSource(strings = {"{\"text/plain\":1}", "{\"text/plain\":{\"a\":\"b\"}}", "[]", "nonsense"})
  void aResultThatIsNoTextIsAViolation(String json) throws Exception {
    GuestExec exec = host.exec(CODE);
    guest.send(FrameKind.RESULT, guest.receiveOpen(), json);
    assertThatThrownBy(exec::next).isInstanceOf(GuestLostException.class);
    assertViolation("it sent");
  }

  @Test
  void aResultOfTooManyRepresentationsIsAViolation() throws Exception {
    GuestExec exec = host.exec(CODE);
    var json = new StringBuilder("{");
    for (int i = 0; i <= Limits.REPRESENTATIONS; i++) {
      json.append(i == 0 ? "" : ",").append("\"a/").append(i).append("\":\"\"");
    }
    guest.send(FrameKind.RESULT, guest.receiveOpen(), json.append('}').toString());
    assertThatThrownBy(exec::next).isInstanceOf(GuestLostException.class);
    assertViolation("too many or too long MIME types");
  }

  @Test
  void aListingThatIsTooLongIsAViolation() throws Exception {
    CompletableFuture<GuestListing> listing = calling(() -> host.list("/"));
    String entry = "{\"name\":\"\",\"type\":\"file\",\"size\":0,\"mode\":0,\"mtime\":0}";
    String json =
        "{\"ok\":true,\"entries\":[" + (entry + ",").repeat(Limits.ENTRIES) + entry + "]}";
    guest.send(FrameKind.CLOSED, guest.receiveOpen(), json);
    assertThatThrownBy(listing::join)
        .isInstanceOf(CompletionException.class)
        .hasCauseInstanceOf(GuestLostException.class);
    assertViolation("more than 10,000 entries");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"name\":\"f\",\"type\":\"file\",\"size\":-1,\"mode\":0,\"mtime\":0}",
        "{\"name\":\"f\",\"type\":\"door\",\"size\":1,\"mode\":0,\"mtime\":0}",
        "{\"name\":\"f\",\"type\":\"file\",\"size\":1,\"mode\":4096,\"mtime\":0}",
        "{\"name\":\"f\",\"type\":\"file\",\"size\":1,\"mode\":0,\"mtime\":\"now\"}",
        "{\"name\":\"f\",\"type\":\"file\",\"size\":1,\"mode\":0}",
        "[]",
        "null"
      })
  void anEntryThatCanNotBeIsAViolation(String entry) throws Exception {
    CompletableFuture<GuestEntry> stat = calling(() -> host.stat("f"));
    guest.send(FrameKind.CLOSED, guest.receiveOpen(), "{\"ok\":true,\"entry\":" + entry + "}");
    assertThatThrownBy(stat::join).hasCauseInstanceOf(GuestLostException.class);
    assertViolation("it ");
  }

  @ParameterizedTest
  @ValueSource(strings = {"1e300", "-1e300", "9223372036854775807", "99999999999999999999999"})
  void aFileFromTheEndOfTimeIsNone(String mtime) throws Exception {
    CompletableFuture<GuestEntry> stat = calling(() -> host.stat("f"));
    guest.send(
        FrameKind.CLOSED,
        guest.receiveOpen(),
        "{\"ok\":true,\"entry\":{\"name\":\"f\",\"type\":\"file\",\"size\":1,\"mode\":0,\"mtime\":"
            + mtime
            + "}}");
    assertThat(stat.join().modified().toString()).hasSize("2000-01-01T00:00:00Z".length());
  }

  @Test
  void aGuestThatSaysItHasTakenAFileBeforeItHasIsAViolation() throws Exception {
    var put = calling(() -> host.put("f", OptionalInt.empty(), EndlessStream.INSTANCE));
    guest.send(FrameKind.CLOSED, guest.receiveOpen(), "{\"ok\":true,\"size\":5}");
    assertThatThrownBy(put::join).hasCauseInstanceOf(GuestLostException.class);
    assertViolation("closed 'put' before it had the whole file");
  }

  @Test
  void aGuestThatMiscountsAFileIsAViolation() throws Exception {
    var put = calling(() -> host.put("f", OptionalInt.empty(), InputStream.nullInputStream()));
    int stream = guest.receiveOpen();
    guest.receive(FrameKind.END);
    guest.send(FrameKind.CLOSED, stream, "{\"ok\":true,\"size\":5}");
    assertThatThrownBy(put::join).hasCauseInstanceOf(GuestLostException.class);
    assertViolation("stored another number of bytes");
  }

  @Test
  void aClosedThatIsTooLongForItsOperationIsAViolation() throws Exception {
    guest.send(FrameKind.CLOSED, openExec(), new byte[Limits.CLOSED + 1]);
    assertViolation("closed 'exec' with 65,537 bytes");
  }

  // ---- terminals ----

  private static final TerminalCall SHELL =
      new TerminalCall("pty_1", "bash", 80, 24, Optional.empty(), Instant.EPOCH);

  private GuestTerminal openTerminal() throws Exception {
    var opening = calling(() -> host.terminal(SHELL));
    guest.send(FrameKind.STARTED, guest.receiveOpen(), "{\"pid\":7}");
    return opening.get(60, TimeUnit.SECONDS);
  }

  @ParameterizedTest
  @ValueSource(strings = {"{}", "[]", "{\"pid\":0}", "{\"pid\":-1}", "{\"pid\":\"7\"}", "7", ""})
  void aTerminalThatStartsWithNonsenseIsAViolation(String json) throws Exception {
    var opening = calling(() -> host.terminal(SHELL));
    guest.send(FrameKind.STARTED, guest.receiveOpen(), json);
    assertThatThrownBy(opening::join).hasCauseInstanceOf(GuestLostException.class);
    assertViolation("it s");
  }

  @ParameterizedTest
  @ValueSource(strings = {"0000000000000000", "ffffffffffffffff", "00000001"})
  void aHoleThatCannotBeIsAViolation(String size) throws Exception {
    var opening = calling(() -> host.get("f"));
    guest.send(
        FrameKind.CLOSED,
        guest.receiveOpen(),
        "{\"ok\":true,\"entry\":{\"name\":\"f\",\"type\":\"file\",\"size\":9,\"mode\":0,\"mtime\":0}}");
    int stream = guest.receiveOpen();
    guest.send(FrameKind.HOLE, stream, HexFormat.of().parseHex(size));
    guest.send(FrameKind.CLOSED, stream, "{\"ok\":true,\"size\":9}");
    assertThatThrownBy(() -> opening.join().content().readAllBytes());
    assertViolation("sent a hole that can't be");
  }

  @Test
  void aHoleWhereNothingIsReadIsAViolation() throws Exception {
    guest.send(FrameKind.HOLE, openExec(), new byte[Long.BYTES]);
    assertViolation("sent HOLE in 'exec'");
  }

  @Test
  void aTerminalThatStartsTwiceIsAViolation() throws Exception {
    GuestTerminal terminal = openTerminal();
    guest.send(FrameKind.STARTED, terminal.stream().number(), "{\"pid\":7}");
    assertViolation("sent STARTED twice");
  }

  @Test
  void outputBeforeTheStartIsAViolation() throws Exception {
    var opening = calling(() -> host.terminal(SHELL));
    guest.send(FrameKind.DATA, guest.receiveOpen(), "x");
    assertThatThrownBy(opening::join).hasCauseInstanceOf(GuestLostException.class);
    assertViolation("output of a terminal before STARTED");
  }

  @Test
  void aStartWhereNothingStartsIsAViolation() throws Exception {
    guest.send(FrameKind.STARTED, openExec(), "{\"pid\":7}");
    assertViolation("sent STARTED in 'exec'");
  }

  @Test
  void aTerminalThatEndsWellWithoutHavingStartedIsAViolation() throws Exception {
    var opening = calling(() -> host.terminal(SHELL));
    guest.send(FrameKind.CLOSED, guest.receiveOpen(), "{\"ok\":true,\"exit_code\":0}");
    assertThatThrownBy(opening::join).hasCauseInstanceOf(GuestLostException.class);
    assertViolation("closed a terminal that it had not started");
  }

  @Test
  void aTerminalThatSaysMoreThanItsCreditIsAViolation() throws Exception {
    GuestTerminal terminal = openTerminal();
    int stream = terminal.stream().number();
    for (int i = 0; i < 4; i++) {
      guest.send(FrameKind.DATA, stream, new byte[Limits.BLOCK]);
    }
    guest.send(FrameKind.DATA, stream, "x");
    assertViolation("more in 'pty' than its credit");
  }

  @Test
  void creditForWhatWasNeverTypedIsAViolation() throws Exception {
    guest.sendCredit(openTerminal().stream().number(), 1);
    assertViolation("gave credit for bytes that it was never sent");
  }

  @Test
  void aTerminalWhoseGuestTakesNothingRefusesInput() throws Exception {
    GuestTerminal terminal = openTerminal();
    assertThat(terminal.write(new byte[Limits.WINDOW], Duration.ofSeconds(10))).isTrue();
    assertThat(terminal.write(new byte[1], Duration.ofMillis(50))).isFalse();
  }

  @ParameterizedTest
  @ValueSource(strings = {"{\"ok\":true}", "{\"ok\":true,\"exit_code\":-1}", "nonsense"})
  void aTerminalThatEndsWithNonsenseIsAViolation(String json) throws Exception {
    GuestTerminal terminal = openTerminal();
    guest.send(FrameKind.CLOSED, terminal.stream().number(), json);
    assertThat(terminal.next()).isEmpty();
    assertThatThrownBy(terminal::exitCode).isInstanceOf(GuestLostException.class);
    assertViolation("it ");
  }

  @Test
  void whatATerminalSaysAfterItIsClosedIsHeldByNobody() throws Exception {
    GuestTerminal terminal = openTerminal();
    terminal.close();
    assertThat(ScriptedGuest.text(guest.receive(FrameKind.CANCEL))).contains("gone");
    for (int i = 0; i < 3; i++) {
      guest.send(FrameKind.DATA, terminal.stream().number(), new byte[Limits.BLOCK]);
    }
    guest.receive(FrameKind.CREDIT);
    assertThat(terminal.stream().waitingPieces()).isZero();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{}",
        "7",
        "{\"stream\":0,\"name\":\"n\",\"cmd\":\"c\",\"pid\":1,\"cols\":1,\"rows\":1,\"created_ms\":1}",
        "{\"stream\":1,\"name\":7,\"cmd\":\"c\",\"pid\":1,\"cols\":1,\"rows\":1,\"created_ms\":1}",
        "{\"stream\":1,\"name\":\"n\",\"cmd\":\"c\",\"pid\":1,\"cols\":0,\"rows\":1,\"created_ms\":1}",
        "{\"stream\":1,\"name\":\"n\",\"cmd\":\"c\",\"pid\":1,\"cols\":1,\"rows\":10001,"
            + "\"created_ms\":1}",
        "{\"stream\":1,\"name\":\"n\",\"cmd\":\"c\",\"pid\":1,\"cols\":1,\"rows\":1,"
            + "\"created_ms\":\"now\"}",
      })
  void aTerminalOfBeforeThatCanNotBeIsAViolation(String terminal) throws Exception {
    var telling = calling(host::terminals);
    guest.send(
        FrameKind.CLOSED, guest.receiveOpen(), "{\"ok\":true,\"terminals\":[" + terminal + "]}");
    assertThatThrownBy(telling::join).hasCauseInstanceOf(GuestLostException.class);
    assertViolation("it ");
  }

  @Test
  void tooManyTerminalsOfBeforeAreAViolation() throws Exception {
    var telling = calling(host::terminals);
    String one =
        "{\"stream\":1,\"name\":\"\",\"cmd\":\"\",\"pid\":1,\"cols\":1,\"rows\":1,\"created_ms\":1}";
    guest.send(
        FrameKind.CLOSED,
        guest.receiveOpen(),
        "{\"ok\":true,\"terminals\":[" + (one + ",").repeat(Limits.TERMINALS) + one + "]}");
    assertThatThrownBy(telling::join).hasCauseInstanceOf(GuestLostException.class);
    assertViolation("more terminals than there can be");
  }

  @Test
  void waitingViolatedStreamsEndAtOnce() throws Exception {
    GuestExec exec = host.exec(CODE);
    var waiting = calling(exec::awaitEnd);
    guest.receiveOpen();
    guest.sendRaw(header(0, 99, 0));
    assertThatThrownBy(waiting::join)
        .cause()
        .isInstanceOfSatisfying(
            GuestLostException.class,
            lost -> assertThat(lost.loss().kind()).isEqualTo(GuestLoss.Kind.VIOLATION));
  }

  @Test
  void aChannelThatEndsWithinAFrameIsALossAndNoViolation() throws Exception {
    guest.sendRaw(header(100, FrameKind.HELLO.number(), 0));
    guest.sendRaw(bytes("{"));
    guest.die();
    assertThat(host.lost().get(60, TimeUnit.SECONDS).kind()).isEqualTo(GuestLoss.Kind.ENDED);
  }

  @Test
  void emptyFramesWithoutEndCostNoMemory() throws Exception {
    GuestExec exec = host.exec(CODE);
    int stream = guest.receiveOpen();
    byte[] empty = ScriptedGuest.frame(FrameKind.STDOUT, stream, new byte[0]);
    for (int i = 0; i < 50_000; i++) {
      guest.sendRaw(empty);
    }
    guest.closeExec(stream);
    exec.awaitEnd();
    assertThat(exec.stream().waitingPieces()).isZero();
  }

  @Test
  void tinyPiecesOfManyKindsAreBoundedAndWhatGoesBeyondIsCounted() throws Exception {
    GuestExec exec = host.exec(CODE);
    int stream = guest.receiveOpen();
    byte[] out = ScriptedGuest.frame(FrameKind.STDOUT, stream, bytes("o"));
    byte[] err = ScriptedGuest.frame(FrameKind.STDERR, stream, bytes("e"));
    int each = Limits.PIECES;
    for (int i = 0; i < each; i++) {
      guest.sendRaw(out);
      guest.sendRaw(err);
    }
    guest.closeExec(stream);
    exec.awaitEnd();
    assertThat(exec.stream().waitingPieces()).isEqualTo(Limits.PIECES);
    // One of the two can always be added to the last piece; the other is what is dropped.
    assertThat(exec.awaitEnd().dropped()).isEqualTo(each / 2);
  }

  @Test
  void onlyTheFirstErrorOfAnExecIsKept() throws Exception {
    GuestExec exec = host.exec(CODE);
    int stream = guest.receiveOpen();
    String error = "{\"name\":\"E\",\"value\":\"\",\"traceback\":\"\"}";
    guest.send(FrameKind.ERROR, stream, error);
    guest.send(FrameKind.ERROR, stream, error);
    guest.closeExec(stream);
    assertThat(exec.awaitEnd().dropped()).isEqualTo(error.length());
    assertThat(exec.stream().waitingPieces()).isEqualTo(1);
  }
}
