package dev.podflare.guest;

import static dev.podflare.guest.ScriptedGuest.text;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.guest.ExecCall.Language;
import dev.podflare.guest.GuestEvent.Closed;
import dev.podflare.guest.GuestEvent.Failure;
import dev.podflare.guest.GuestEvent.Output;
import dev.podflare.guest.GuestEvent.Reason;
import dev.podflare.guest.GuestEvent.Result;
import dev.podflare.guest.GuestEvent.Stream;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class AgentConnectionTest {

  private static final Duration SOON = Duration.ofSeconds(60);
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

  private static <T> Future<T> async(Callable<T> call) {
    var executor = Executors.newVirtualThreadPerTaskExecutor();
    try {
      return executor.submit(call);
    } finally {
      executor.shutdown();
    }
  }

  private static <T> T get(Future<T> future) throws Exception {
    return future.get(60, TimeUnit.SECONDS);
  }

  private static List<GuestEvent> allEvents(GuestExec exec) throws Exception {
    var events = new ArrayList<GuestEvent>();
    for (var next = exec.next(); next.isPresent(); next = exec.next()) {
      events.add(next.get());
    }
    return events;
  }

  @Test
  void helloIsAwaited() throws Exception {
    Future<Hello> hello = async(() -> host.awaitHello(SOON));
    guest.sayHello();
    assertThat(get(hello)).isEqualTo(new Hello(2, "3.13.5", ScriptedGuest.TOKEN));
  }

  @Test
  void anAgentThatDoesNotBootIsSilent() {
    assertThatThrownBy(() -> host.awaitHello(Duration.ofMillis(1)))
        .isInstanceOf(GuestSilentException.class);
  }

  @Test
  void anExecGivesItsEventsInOrderAndEndsWithClosed() throws Exception {
    GuestExec exec = host.exec(CODE);
    int stream = guest.receiveOpen();
    guest.send(FrameKind.STDOUT, stream, "héllo\n");
    guest.send(FrameKind.STDERR, stream, "oops\n");
    guest.send(FrameKind.RESULT, stream, "{\"text/plain\":\"1\",\"image/png\":\"AA==\"}");
    guest.send(
        FrameKind.ERROR, stream, "{\"name\":\"E\",\"value\":\"v\",\"traceback\":\"t\",\"x\":[]}");
    guest.send(
        FrameKind.CLOSED,
        stream,
        """
        {"ok":true,"exit_code":1,"reason":"error","state_kept":true,"duration_ms":12,"dropped":3}\
        """);

    assertThat(allEvents(exec))
        .containsExactly(
            new Output(Stream.STDOUT, "héllo\n"),
            new Output(Stream.STDERR, "oops\n"),
            new Result(Map.of("text/plain", "1", "image/png", "AA==")),
            new Failure("E", "v", "t"),
            new Closed(1, Reason.ERROR, true, Duration.ofMillis(12), 3));
    assertThat(exec.next()).isEmpty();
    assertThat(exec.awaitEnd().exitCode()).isEqualTo(1);
  }

  @Test
  void anExecIsOpenedWithItsArguments() throws Exception {
    host.exec(
        new ExecCall(
            Language.BASH,
            "echo \"ü\"\n",
            Map.of("A", "b"),
            Optional.of("/tmp"),
            false,
            false,
            Optional.of(Instant.ofEpochSecond(1_700_000_000, 5))));
    assertThat(text(guest.receive(FrameKind.OPEN)))
        .isEqualTo(
            """
            {"op":"exec","language":"bash","code":"echo \\"ü\\"\\n","env":{"A":"b"},"cwd":"/tmp","time_ns":\
            1700000000000000005}\
            """);
  }

  @Test
  void outputThatWaitsIsHandedOverAsOne() throws Exception {
    GuestExec exec = host.exec(CODE);
    int stream = guest.receiveOpen();
    for (int i = 0; i < 100; i++) {
      guest.send(FrameKind.STDOUT, stream, "x".repeat(10));
    }
    guest.closeExec(stream);
    exec.awaitEnd();
    assertThat(exec.next()).contains(new Output(Stream.STDOUT, "x".repeat(1000)));
  }

  @Test
  void aCharacterThatIsSplitBetweenFramesComesOutWhole() throws Exception {
    GuestExec exec = host.exec(CODE);
    int stream = guest.receiveOpen();
    guest.send(FrameKind.STDOUT, stream, new byte[] {(byte) 0xE2, (byte) 0x82});
    guest.send(FrameKind.STDERR, stream, "e");
    guest.send(FrameKind.STDOUT, stream, new byte[] {(byte) 0xAC});
    guest.send(FrameKind.STDOUT, stream, new byte[] {(byte) 0xE2});
    guest.closeExec(stream);
    assertThat(allEvents(exec))
        .startsWith(
            new Output(Stream.STDERR, "e"),
            new Output(Stream.STDOUT, "€"),
            new Output(Stream.STDOUT, "\uFFFD"));
  }

  @Test
  void waitingForAnEventEndsAtItsTime() throws Exception {
    GuestExec exec = host.exec(CODE);
    assertThat(exec.next(Duration.ZERO)).isEmpty();
    assertThat(exec.next(Duration.ofMillis(2))).isEmpty();
  }

  @Test
  void cancelTellsTheGuestWhy() throws Exception {
    GuestExec exec = host.exec(CODE);
    int stream = guest.receiveOpen();
    exec.cancel(CancelReason.INTERRUPT);
    exec.cancel(CancelReason.TIMEOUT);
    assertThat(text(guest.receive(FrameKind.CANCEL))).isEqualTo("{\"reason\":\"interrupt\"}");
    assertThat(text(guest.receive(FrameKind.CANCEL))).isEqualTo("{\"reason\":\"timeout\"}");
    guest.closeExec(stream);
    exec.awaitEnd();
    exec.cancel(CancelReason.INTERRUPT);
    host.exec(CODE);
    guest.receive(FrameKind.OPEN);
  }

  @Test
  void anExecThatIsClosedRunsOnAndItsOutputIsThrownAwayWithCreditGivenBack() throws Exception {
    GuestExec exec = host.exec(CODE);
    int stream = guest.receiveOpen();
    exec.close();
    assertThat(text(guest.receive(FrameKind.CANCEL))).isEqualTo("{\"reason\":\"gone\"}");
    for (int i = 0; i < 20; i++) {
      guest.send(FrameKind.STDOUT, stream, new byte[Limits.BLOCK]);
      guest.send(FrameKind.STDOUT, stream, new byte[Limits.BLOCK]);
      assertThat(credit(guest.receive(FrameKind.CREDIT))).isEqualTo(Limits.CREDIT_STEP);
    }
    guest.closeExec(stream);
    assertThat(exec.awaitEnd().reason()).isEqualTo(Reason.OK);
  }

  @Test
  void outputBeyondTheCapIsCutAndCountedByTheHostToo() throws Exception {
    GuestExec exec = host.exec(CODE);
    int stream = guest.receiveOpen();
    Future<Long> received =
        async(() -> {
          long characters = 0;
          for (GuestEvent event : allEvents(exec)) {
            characters += event instanceof Output output ? output.text().length() : 0;
            if (event instanceof Closed closed) {
              assertThat(closed.dropped()).isEqualTo(4 * Limits.BLOCK);
            }
          }
          return characters;
        });
    byte[] block = new byte[Limits.BLOCK];
    long blocks = Limits.OUTPUT / Limits.BLOCK + 4;
    long window = Limits.WINDOW;
    for (long i = 0; i < blocks; i++) {
      while (window <= 0) {
        window += credit(guest.receive(FrameKind.CREDIT));
      }
      guest.send(FrameKind.STDOUT, stream, block);
      window -= block.length;
    }
    guest.closeExec(stream);
    assertThat(get(received)).isEqualTo(Limits.OUTPUT);
  }

  @Test
  void aSlowReaderHoldsTheGuestBackAtTheWindow() throws Exception {
    GuestExec exec = host.exec(CODE);
    int stream = guest.receiveOpen();
    for (int i = 0; i < 4; i++) {
      guest.send(FrameKind.STDOUT, stream, new byte[Limits.BLOCK]);
    }
    assertThat(answerPing()).as("no credit is given").isTrue();
    assertThat(exec.waitsForReader()).isTrue();

    assertThat(exec.next()).isPresent();
    assertThat(exec.next()).isPresent();
    assertThat(exec.waitsForReader()).isFalse();
    assertThat(credit(guest.receive(FrameKind.CREDIT))).isEqualTo(Limits.CREDIT_STEP);
  }

  @Test
  void aReaderThatDawdlesHoldsUpNobodyElse() throws Exception {
    GuestExec dawdled = host.exec(CODE);
    int first = guest.receiveOpen();
    for (int i = 0; i < 4; i++) {
      guest.send(FrameKind.STDOUT, first, new byte[Limits.BLOCK]);
    }
    GuestExec read = host.exec(CODE);
    int second = guest.receiveOpen();
    guest.send(FrameKind.STDOUT, second, "hi");
    guest.closeExec(second);
    assertThat(allEvents(read)).hasSize(2);
    dawdled.close();
  }

  @Test
  void aRefusedExecSaysWhy() throws Exception {
    GuestExec exec = host.exec(CODE);
    guest.send(
        FrameKind.CLOSED,
        guest.receiveOpen(),
        "{\"ok\":false,\"code\":\"bad_cwd\",\"error\":\"no\\u001b[31m\\nsuch\\u202e place\"}");
    assertThatThrownBy(exec::next)
        .isInstanceOfSatisfying(
            GuestRefusedException.class,
            refused -> {
              assertThat(refused.code()).isEqualTo("bad_cwd");
              assertThat(refused.getMessage()).isEqualTo("no [31m such  place");
            });
    assertThat(exec.next()).isEmpty();
    assertThatThrownBy(exec::awaitEnd).isInstanceOf(GuestRefusedException.class);
  }

  @Test
  void surrogatesWithoutTheirPairAreReplacedInWhatTheGuestSays() throws Exception {
    GuestExec exec = host.exec(CODE);
    guest.send(
        FrameKind.RESULT, guest.receiveOpen(), "{\"text/plain\":\"a\\udcffb\\ud83d\\ude00\"}");
    assertThat(exec.next()).contains(new Result(Map.of("text/plain", "a\uFFFDb\uD83D\uDE00")));
  }

  @Test
  void textThatIsNoUnicodeIsRefusedBeforeItIsSent() throws Exception {
    assertThatThrownBy(() -> host.stat("a\uD800b"))
        .isInstanceOfSatisfying(
            GuestRefusedException.class,
            refused -> assertThat(refused.code()).isEqualTo(GuestRefusedException.INVALID_TEXT));
    assertThat(answerPing()).isTrue();
  }

  @Test
  void codeThatFitsInNoFrameIsRefusedBeforeItIsSent() throws Exception {
    var huge =
        new ExecCall(Language.PYTHON, "x".repeat(Limits.PAYLOAD), Map.of(), Optional.empty());
    assertThatThrownBy(() -> host.exec(huge))
        .isInstanceOfSatisfying(
            GuestRefusedException.class,
            refused -> assertThat(refused.code()).isEqualTo(GuestRefusedException.TOO_LARGE));
    assertThat(answerPing()).isTrue();
  }

  @Test
  void noMoreOperationsAreOpenThanMayBe() throws Exception {
    for (int i = 1; i < Limits.STREAMS; i++) {
      host.exec(CODE);
    }
    GuestExec last = host.exec(CODE);
    assertThatThrownBy(() -> host.exec(CODE))
        .isInstanceOfSatisfying(
            GuestRefusedException.class,
            refused -> assertThat(refused.code()).isEqualTo(GuestRefusedException.BUSY));
    guest.closeExec(guest.receiveOpen());
    for (int i = 2; i < Limits.STREAMS; i++) {
      guest.receiveOpen();
    }
    guest.closeExec(guest.receiveOpen());
    last.awaitEnd(); // By then the first one is surely forgotten.
    assertThat(answerPing()).isTrue();
  }

  @Test
  void wakeGivesTheCloneWhatMakesItAMachineOfItsOwn() throws Exception {
    var wake =
        new Wake(
            Entropy.fresh(),
            Instant.ofEpochSecond(1_700_000_000, 5),
            "sbx",
            Map.of("TOKEN", "secret"),
            7,
            "52:54:00:12:34:56",
            true,
            false);
    Future<Woken> woken = async(() -> host.wake(wake, SOON));
    Frame open = guest.receive(FrameKind.OPEN);
    assertThat(text(open))
        .isEqualTo(
            """
            {"op":"wake","entropy":"%s","time_ns":1700000000000000005,"hostname":"sbx",\
            "env":{"TOKEN":"secret"},"generation":7,"mac":"52:54:00:12:34:56",\
            "severed":true,"rehearsed":false}\
            """
                .formatted(wake.entropy().base64()));
    guest.send(
        FrameKind.CLOSED,
        open.stream(),
        "{\"ok\":true,\"generation\":7,\"was_ns\":1600000000000000003,\"running\":true}");
    assertThat(get(woken))
        .isEqualTo(new Woken(7, Instant.ofEpochSecond(1_600_000_000, 3), true, false));
  }

  @Test
  void aGuestThatDoesNotWakeInTimeIsSilentAndItsLateAnswerIsThrownAway() throws Exception {
    var wake = Wake.ofTemplate(Entropy.fresh(), Instant.EPOCH, "sbx", Map.of(), 7);
    assertThatThrownBy(() -> host.wake(wake, Duration.ofMillis(1)))
        .isInstanceOf(GuestSilentException.class);
    guest.send(FrameKind.CLOSED, guest.receiveOpen(), "{\"ok\":true,\"generation\":7}");
    assertThat(answerPing()).isTrue();
  }

  @Test
  void putSendsAFileInBlocksAndNoMoreThanTheGuestTakes() throws Exception {
    byte[] file = random(Limits.WINDOW + 2 * Limits.BLOCK + 10);
    Future<Long> stored =
        async(() -> host.put("a/b", OptionalInt.of(0640), new ByteArrayInputStream(file)));
    Frame open = guest.receive(FrameKind.OPEN);
    assertThat(text(open)).isEqualTo("{\"op\":\"put\",\"path\":\"a/b\",\"mode\":416}");
    var received = new ByteArrayOutputStream();
    for (int i = 0; i < 4; i++) {
      received.writeBytes(guest.receive(FrameKind.DATA).payload());
    }
    assertThat(answerPing()).as("nothing more comes without credit").isTrue();
    guest.sendCredit(open.stream(), Limits.CREDIT_STEP);
    for (int i = 0; i < 2; i++) {
      received.writeBytes(guest.receive(FrameKind.DATA).payload());
    }
    guest.sendCredit(open.stream(), Limits.CREDIT_STEP);
    received.writeBytes(guest.receive(FrameKind.DATA).payload());
    guest.receive(FrameKind.END);
    assertThat(received.toByteArray()).isEqualTo(file);
    guest.send(FrameKind.CLOSED, open.stream(), "{\"ok\":true,\"size\":" + file.length + "}");
    assertThat(get(stored)).isEqualTo(file.length);
  }

  @Test
  void anEmptyFileIsPutWithNoData() throws Exception {
    Future<Long> stored =
        async(() -> host.put("e", OptionalInt.empty(), InputStream.nullInputStream()));
    Frame open = guest.receive(FrameKind.OPEN);
    assertThat(text(open)).isEqualTo("{\"op\":\"put\",\"path\":\"e\",\"mode\":null}");
    guest.receive(FrameKind.END);
    guest.send(FrameKind.CLOSED, open.stream(), "{\"ok\":true,\"size\":0}");
    assertThat(get(stored)).isZero();
  }

  @Test
  void aSourceThatFailsIsTheCallersFailureAndTheGuestForgetsTheFile() throws Exception {
    var failure = new IOException("the client went away");
    var source = FailingStream.after(3 * Limits.BLOCK, failure);
    Future<Long> stored = async(() -> host.put("f", OptionalInt.empty(), source));
    guest.receiveOpen();
    for (int i = 0; i < 3; i++) {
      guest.receive(FrameKind.DATA);
    }
    assertThat(text(guest.receive(FrameKind.CANCEL))).isEqualTo("{\"reason\":\"gone\"}");
    assertThatThrownBy(() -> get(stored)).isInstanceOf(ExecutionException.class).hasCause(failure);
    assertThat(answerPing()).isTrue();
  }

  @Test
  void aGuestThatRefusesAFileInTheMiddleEndsThePut() throws Exception {
    Future<Long> stored = async(() -> host.put("f", OptionalInt.empty(), EndlessStream.INSTANCE));
    int stream = guest.receiveOpen();
    guest.receive(FrameKind.DATA);
    guest.send(
        FrameKind.CLOSED, stream, "{\"ok\":false,\"code\":\"no_space\",\"error\":\"Full.\"}");
    assertThatThrownBy(() -> get(stored))
        .cause()
        .isInstanceOfSatisfying(
            GuestRefusedException.class,
            refused -> assertThat(refused.code()).isEqualTo("no_space"));
  }

  @Test
  void aGuestThatTakesNothingOfAFileIsSilent() throws Exception {
    try (var impatient = ScriptedGuest.start(Duration.ofMillis(20))) {
      assertThatThrownBy(
              () -> impatient.host().put("f", OptionalInt.empty(), EndlessStream.INSTANCE))
          .isInstanceOf(GuestSilentException.class);
    }
  }

  @Test
  void aGuestThatReadsNothingAtAllIsSilentAndCanStillBeClosed() throws Exception {
    var large = new ExecCall(Language.BASH, "x".repeat(1 << 20), Map.of(), Optional.empty());
    try (var impatient = ScriptedGuest.start(Duration.ofMillis(20))) {
      assertThatThrownBy(
              () -> {
                for (int i = 0; i < Limits.STREAMS; i++) {
                  impatient.host().exec(large);
                }
              })
          .isInstanceOf(GuestSilentException.class);
      impatient.host().close();
      assertThat(get(impatient.host().lost()).kind()).isEqualTo(GuestLoss.Kind.CLOSED_BY_HOST);
    }
  }

  @Test
  void getGivesAFileAndItsSize() throws Exception {
    byte[] file = random(5 * Limits.BLOCK);
    Future<GuestFile> opened = async(() -> host.get("f"));
    int stream = answerStatAndReceiveGet(file.length);
    for (int i = 0; i < 4; i++) {
      guest.send(FrameKind.DATA, stream, block(file, i));
    }
    try (GuestFile got = get(opened)) {
      assertThat(got.size()).isEqualTo(OptionalLong.of(file.length));
      Future<byte[]> content = async(got.content()::readAllBytes);
      assertThat(credit(guest.receive(FrameKind.CREDIT))).isEqualTo(Limits.CREDIT_STEP);
      guest.send(FrameKind.DATA, stream, block(file, 4));
      guest.send(FrameKind.CLOSED, stream, "{\"ok\":true,\"size\":" + file.length + "}");
      assertThat(get(content)).isEqualTo(file);
    }
  }

  @Test
  void aFileThatDoesNotKnowItsSizeIsMeasuredIfItIsSmall() throws Exception {
    Future<GuestFile> opened = async(() -> host.get("/proc/version"));
    int stream = answerStatAndReceiveGet(0);
    guest.send(FrameKind.DATA, stream, "Linux");
    guest.send(FrameKind.CLOSED, stream, "{\"ok\":true,\"size\":5}");
    GuestFile got = get(opened);
    assertThat(got.size()).isEqualTo(OptionalLong.of(5));
    assertThat(got.content()).hasContent("Linux");
  }

  @Test
  void aLongFileThatDoesNotKnowItsSizeIsReadToItsEnd() throws Exception {
    byte[] file = random(5 * Limits.BLOCK);
    Future<GuestFile> opened = async(() -> host.get("/proc/big"));
    int stream = answerStatAndReceiveGet(0);
    for (int i = 0; i < 4; i++) {
      guest.send(FrameKind.DATA, stream, block(file, i));
    }
    GuestFile got = get(opened);
    assertThat(got.size()).isEmpty();
    Future<byte[]> content = async(got.content()::readAllBytes);
    guest.receive(FrameKind.CREDIT);
    guest.send(FrameKind.DATA, stream, block(file, 4));
    guest.send(FrameKind.CLOSED, stream, "{\"ok\":true,\"size\":" + file.length + "}");
    assertThat(get(content)).isEqualTo(file);
  }

  @Test
  void whatIsAppendedToAFileWhileItIsReadIsNotGiven() throws Exception {
    byte[] file = random(5 * Limits.BLOCK);
    Future<GuestFile> opened = async(() -> host.get("log"));
    int stream = answerStatAndReceiveGet(5 * Limits.BLOCK - 100);
    for (int i = 0; i < 4; i++) {
      guest.send(FrameKind.DATA, stream, block(file, i));
    }
    Future<byte[]> content = async(get(opened).content()::readAllBytes);
    guest.receive(FrameKind.CREDIT);
    guest.send(FrameKind.DATA, stream, block(file, 4));
    assertThat(get(content)).isEqualTo(Arrays.copyOf(file, file.length - 100));
    guest.receive(FrameKind.CREDIT);
    assertThat(text(guest.receive(FrameKind.CANCEL))).isEqualTo("{\"reason\":\"gone\"}");
  }

  @Test
  void aFileThatBecomesShorterWhileItIsReadEndsInAnError() throws Exception {
    byte[] file = random(5 * Limits.BLOCK);
    Future<GuestFile> opened = async(() -> host.get("log"));
    int stream = answerStatAndReceiveGet(5 * Limits.BLOCK);
    for (int i = 0; i < 4; i++) {
      guest.send(FrameKind.DATA, stream, block(file, i));
    }
    GuestFile got = get(opened);
    guest.send(FrameKind.CLOSED, stream, "{\"ok\":true,\"size\":" + 4 * Limits.BLOCK + "}");
    assertThatThrownBy(got.content()::readAllBytes).isInstanceOf(GuestRefusedException.class);
  }

  @Test
  void aFileThatIsNotThereIsRefusedWhenItIsOpened() throws Exception {
    Future<GuestFile> opened = async(() -> host.get("f"));
    String refusal = "{\"ok\":false,\"code\":\"not_found\",\"error\":\"There is no f.\"}";
    guest.send(FrameKind.CLOSED, guest.receiveOpen(), refusal);
    guest.send(FrameKind.CLOSED, guest.receiveOpen(), refusal);
    assertThatThrownBy(() -> get(opened))
        .cause()
        .isInstanceOf(GuestRefusedException.class)
        .hasMessage("There is no f.");
  }

  @Test
  void aFileThatIsClosedEarlyIsSentNoFurther() throws Exception {
    Future<GuestFile> opened = async(() -> host.get("f"));
    int stream = answerStatAndReceiveGet(1 << 30);
    guest.send(FrameKind.DATA, stream, new byte[10]);
    get(opened).close();
    assertThat(text(guest.receive(FrameKind.CANCEL))).isEqualTo("{\"reason\":\"gone\"}");
    guest.send(FrameKind.DATA, stream, new byte[10]);
    guest.send(FrameKind.CLOSED, stream, "{\"ok\":true,\"size\":20}");
    assertThat(answerPing()).isTrue();
  }

  @Test
  void aDirectoryIsListed() throws Exception {
    Future<GuestListing> listing = async(() -> host.list("/root"));
    Frame open = guest.receive(FrameKind.OPEN);
    assertThat(text(open)).isEqualTo("{\"op\":\"list\",\"path\":\"/root\"}");
    guest.send(
        FrameKind.CLOSED,
        open.stream(),
        """
        {"ok":true,"truncated":true,"entries":[
          {"name":"a","type":"file","size":3,"mode":420,"mtime":1700000000123},
          {"name":"b","type":"directory","size":0,"mode":493,"mtime":0,"owner":{"uid":[0]}}]}\
        """);
    assertThat(get(listing))
        .isEqualTo(
            new GuestListing(
                List.of(
                    new GuestEntry(
                        "a",
                        GuestEntry.Type.FILE,
                        3,
                        0644,
                        Instant.ofEpochMilli(1_700_000_000_123L)),
                    new GuestEntry("b", GuestEntry.Type.DIRECTORY, 0, 0755, Instant.EPOCH)),
                true));
  }

  @Test
  void aFileIsRemoved() throws Exception {
    Future<?> removed = inBackground(() -> host.remove("x", true));
    Frame open = guest.receive(FrameKind.OPEN);
    assertThat(text(open)).isEqualTo("{\"op\":\"remove\",\"path\":\"x\",\"recursive\":true}");
    guest.close(open.stream());
    get(removed);
  }

  @Test
  void aThreadThatIsInterruptedWhileItWaitsCostsNobodyTheGuest() throws Exception {
    var waiting = new CountDownLatch(1);
    Thread caller =
        Thread.ofVirtual()
            .start(() -> {
              try {
                waiting.countDown();
                host.stat("f");
              } catch (InterruptedException | GuestException expected) {
                Thread.currentThread().interrupt();
              }
            });
    waiting.await();
    caller.interrupt();
    caller.join();
    Future<?> ping = inBackground(() -> host.ping(SOON));
    Frame open = guest.receive(FrameKind.OPEN);
    if (text(open).contains("stat")) {
      open = guest.receive(FrameKind.OPEN);
    }
    guest.close(open.stream());
    get(ping);
  }

  @Test
  void aGuestThatDiesEndsEveryWaitAtOnce() throws Exception {
    GuestExec exec = host.exec(CODE);
    int stream = guest.receiveOpen();
    guest.send(FrameKind.STDOUT, stream, "last words");
    Future<List<GuestEvent>> events = async(() -> allEvents(exec));
    Future<?> end = async(exec::awaitEnd);
    Future<?> stat = async(() -> host.stat("f"));
    Future<?> put = async(() -> host.put("f", OptionalInt.empty(), EndlessStream.INSTANCE));
    Future<?> hello = async(() -> host.awaitHello(SOON));
    guest.receiveOpen();
    guest.receiveOpen();
    guest.die();
    for (Future<?> waiting : List.of(events, end, stat, put, hello)) {
      assertThatThrownBy(() -> get(waiting)).cause().isInstanceOf(GuestLostException.class);
    }
    assertThat(get(host.lost()).kind()).isEqualTo(GuestLoss.Kind.ENDED);
    assertThatThrownBy(() -> host.exec(CODE)).isInstanceOf(GuestLostException.class);
    assertThatThrownBy(() -> host.awaitHello(SOON)).isInstanceOf(GuestLostException.class);
  }

  @Test
  void whatCameBeforeTheGuestDiedIsStillHandedOver() throws Exception {
    GuestExec exec = host.exec(CODE);
    guest.send(FrameKind.STDOUT, guest.receiveOpen(), "last words");
    guest.die();
    get(host.lost());
    assertThat(exec.next()).contains(new Output(Stream.STDOUT, "last words"));
    assertThatThrownBy(exec::next)
        .isInstanceOfSatisfying(
            GuestLostException.class,
            lost -> assertThat(lost.loss().kind()).isEqualTo(GuestLoss.Kind.ENDED));
  }

  @Test
  void whatAGuestSaidBeforeItDiedIsHandedOverEvenIfItCouldNotBeWrittenTo() throws Exception {
    for (int i = 0; i < 20; i++) {
      try (var dying = ScriptedGuest.start()) {
        GuestExec exec = dying.host().exec(CODE);
        int stream = dying.receiveOpen();
        for (int block = 0; block < 3; block++) {
          dying.send(FrameKind.STDOUT, stream, new byte[Limits.BLOCK]);
        }
        dying.closeExec(stream);
        exec.cancel(CancelReason.INTERRUPT);
        dying.die();
        exec.cancel(CancelReason.INTERRUPT);
        assertThat(exec.awaitEnd().reason()).isEqualTo(Reason.OK);
      }
    }
  }

  @Test
  void closingTheConnectionIsALossThatTheHostWanted() throws Exception {
    GuestExec exec = host.exec(CODE);
    host.close();
    host.close();
    assertThat(get(host.lost()).kind()).isEqualTo(GuestLoss.Kind.CLOSED_BY_HOST);
    assertThatThrownBy(exec::next).isInstanceOf(GuestLostException.class);
  }

  /** Answers a ping of the host; false if the next frame of the host is another one. */
  private boolean answerPing() throws Exception {
    Future<?> ping = inBackground(() -> host.ping(SOON));
    Frame open = guest.receive();
    guest.close(open.stream());
    get(ping);
    return text(open).equals("{\"op\":\"ping\"}");
  }

  private int answerStatAndReceiveGet(long size) throws IOException {
    Frame stat = guest.receive(FrameKind.OPEN);
    assertThat(text(stat)).startsWith("{\"op\":\"stat\"");
    guest.send(
        FrameKind.CLOSED,
        stat.stream(),
        """
        {"ok":true,"entry":{"name":"f","type":"file","size":%d,"mode":420,"mtime":0}}\
        """
            .formatted(size));
    Frame open = guest.receive(FrameKind.OPEN);
    assertThat(text(open)).startsWith("{\"op\":\"get\"");
    return open.stream();
  }

  private static byte[] block(byte[] file, int number) {
    return Arrays.copyOfRange(file, number * Limits.BLOCK, (number + 1) * Limits.BLOCK);
  }

  private static byte[] random(int length) {
    byte[] bytes = new byte[length];
    new Random(1).nextBytes(bytes);
    return bytes;
  }

  private static int credit(Frame frame) {
    return ByteBuffer.wrap(frame.payload()).getInt();
  }

  /** Something that a test does in the background. */
  private interface Action {
    void run() throws Exception;
  }

  private static Future<?> inBackground(Action action) {
    return async(() -> {
      action.run();
      return true;
    });
  }
}
