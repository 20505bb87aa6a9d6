package dev.podflare.guest;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.guest.ExecCall.Language;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.Tuple;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import tools.jackson.core.JacksonException;

/**
 * A guest that says whatever it likes while every operation of the host is under way: each of them
 * ends, and with an exception of {@link GuestException} if it fails; and no more is held for it
 * than its credit allows.
 */
class FuzzTest {

  private static final int UNREAD = 1;
  private static final int LEFT = 2;
  private static final int READ = 3;
  private static final int STAT = 4;
  private static final int GET = 5;
  private static final int PUT = 6;
  private static final int LIST = 7;
  private static final int TERMINAL = 8;
  private static final int TERMINALS = 9;

  private static final String BLOCK = "x".repeat(Limits.BLOCK);
  private static final String RESULT = "{\"text/plain\":\"1\",\"image/png\":\"AA==\"}";
  private static final String ERROR = "{\"name\":\"E\",\"value\":\"\\ud800\",\"traceback\":\"t\"}";
  private static final String REFUSED =
      "{\"ok\":false,\"code\":\"not_found\",\"error\":\"\\u0000\\ud800\"}";
  private static final String EXEC_CLOSED =
      "{\"ok\":true,\"exit_code\":0,\"reason\":\"ok\",\"state_kept\":true,\"duration_ms\":1,"
          + "\"dropped\":9}";
  private static final String ENTRY =
      "{\"name\":\"f\",\"type\":\"file\",\"size\":70000,\"mode\":0,\"mtime\":0}";
  private static final String STAT_CLOSED = "{\"ok\":true,\"entry\":" + ENTRY + "}";
  private static final String LIST_CLOSED =
      "{\"ok\":true,\"truncated\":false,\"entries\":[" + ENTRY + "," + ENTRY + "]}";
  private static final String SIZE_CLOSED = "{\"ok\":true,\"size\":65536}";
  private static final String STARTED = "{\"pid\":7}";
  private static final String TERMINAL_CLOSED = "{\"ok\":true,\"exit_code\":0}";
  private static final String TERMINALS_CLOSED =
      "{\"ok\":true,\"terminals\":[{\"stream\":1,\"name\":\"n\",\"cmd\":\"c\",\"pid\":1,"
          + "\"cols\":1,\"rows\":1,\"created_ms\":1}]}";
  private static final String HALF_A_WINDOW = "\0\2\0\0";

  private static final List<String> PAYLOADS =
      List.of(
          "",
          "x",
          "{}",
          "{\"ok\":true}",
          HALF_A_WINDOW,
          BLOCK,
          RESULT,
          ERROR,
          REFUSED,
          EXEC_CLOSED,
          STAT_CLOSED,
          LIST_CLOSED,
          SIZE_CLOSED,
          STARTED,
          TERMINAL_CLOSED,
          TERMINALS_CLOSED);

  @Property(tries = 500, edgeCases = EdgeCasesMode.NONE)
  void aGuestThatSpeaksFramesInAnyOrderEndsNothingBadly(
      @ForAll("conversations") List<byte[]> frames) throws Exception {
    endsNothingBadly(frames);
  }

  @Property(tries = 500, edgeCases = EdgeCasesMode.NONE)
  void aGuestThatSpeaksAlmostTheProtocolEndsNothingBadly(
      @ForAll("conversations") List<byte[]> frames,
      @ForAll @IntRange(max = 100_000) int where,
      @ForAll byte what)
      throws Exception {
    var all = new ByteArrayOutputStream();
    frames.forEach(all::writeBytes);
    byte[] bytes = all.toByteArray();
    bytes[where % bytes.length] ^= what;
    endsNothingBadly(List.of(bytes));
  }

  @Property(tries = 500, edgeCases = EdgeCasesMode.NONE)
  void aGuestThatSpeaksNoiseEndsNothingBadly(@ForAll @Size(max = 300) byte[] noise)
      throws Exception {
    endsNothingBadly(List.of(noise));
  }

  @Provide
  Arbitrary<List<byte[]>> conversations() {
    return Arbitraries.frequencyOf(Tuple.of(15, plausible()), Tuple.of(1, implausible()))
        .list()
        .ofMinSize(1)
        .ofMaxSize(60);
  }

  /** What an honest agent could say to one of the operations that are under way. */
  private static Arbitrary<byte[]> plausible() {
    Arbitrary<Integer> execs = Arbitraries.of(UNREAD, LEFT, READ);
    return Arbitraries.frequencyOf(
        Tuple.of(8, said(FrameKind.STDOUT, execs, "x", BLOCK, "", "\u20ac")),
        Tuple.of(4, said(FrameKind.STDERR, execs, "x", BLOCK)),
        Tuple.of(4, said(FrameKind.RESULT, execs, RESULT, "{}")),
        Tuple.of(2, said(FrameKind.ERROR, execs, ERROR)),
        Tuple.of(1, said(FrameKind.CLOSED, execs, EXEC_CLOSED, REFUSED)),
        Tuple.of(1, said(FrameKind.CLOSED, Arbitraries.just(STAT), STAT_CLOSED, REFUSED)),
        Tuple.of(3, said(FrameKind.DATA, Arbitraries.just(GET), BLOCK, "x")),
        Tuple.of(1, said(FrameKind.CLOSED, Arbitraries.just(GET), SIZE_CLOSED, REFUSED)),
        Tuple.of(3, said(FrameKind.CREDIT, Arbitraries.just(PUT), HALF_A_WINDOW)),
        Tuple.of(1, said(FrameKind.CLOSED, Arbitraries.just(PUT), REFUSED)),
        Tuple.of(1, said(FrameKind.CLOSED, Arbitraries.just(LIST), LIST_CLOSED, REFUSED)),
        Tuple.of(3, said(FrameKind.STARTED, Arbitraries.just(TERMINAL), STARTED)),
        Tuple.of(3, said(FrameKind.DATA, Arbitraries.just(TERMINAL), BLOCK, "x")),
        Tuple.of(1, said(FrameKind.CREDIT, Arbitraries.just(TERMINAL), HALF_A_WINDOW)),
        Tuple.of(1, said(FrameKind.CLOSED, Arbitraries.just(TERMINAL), TERMINAL_CLOSED, REFUSED)),
        Tuple.of(
            1, said(FrameKind.CLOSED, Arbitraries.just(TERMINALS), TERMINALS_CLOSED, REFUSED)));
  }

  private static Arbitrary<byte[]> said(
      FrameKind kind, Arbitrary<Integer> streams, String... payloads) {
    return Combinators.combine(streams, Arbitraries.of(payloads))
        .as((stream, payload) -> ScriptedGuest.frame(kind, stream, ScriptedGuest.bytes(payload)));
  }

  private static Arbitrary<byte[]> implausible() {
    return Combinators.combine(
            Arbitraries.of(FrameKind.values()),
            Arbitraries.integers().between(0, TERMINALS + 1),
            Arbitraries.of(PAYLOADS).map(ScriptedGuest::bytes))
        .as(ScriptedGuest::frame);
  }

  private static void endsNothingBadly(List<byte[]> conversation) throws Exception {
    try (var guest = ScriptedGuest.start()) {
      AgentConnection host = guest.host();
      var exec = new ExecCall(Language.PYTHON, "1", Map.of(), Optional.empty());
      GuestExec unread = host.exec(exec);
      GuestExec left = host.exec(exec);
      left.close();
      GuestExec read = host.exec(exec);
      List<CompletableFuture<?>> calls = new ArrayList<>();
      calls.add(calling(() -> readAll(read)));
      calls.add(calling(left::awaitEnd));
      calls.add(calling(() -> host.get("f").content().readAllBytes()));
      receiveOpen(guest, GET);
      calls.add(calling(() -> host.put("f", OptionalInt.empty(), EndlessStream.INSTANCE)));
      receiveOpen(guest, PUT);
      calls.add(calling(() -> host.list(".")));
      receiveOpen(guest, LIST);
      calls.add(calling(() -> useTerminal(host)));
      receiveOpen(guest, TERMINAL);
      calls.add(calling(host::terminals));
      receiveOpen(guest, TERMINALS);

      try {
        for (byte[] bytes : conversation) {
          guest.sendRaw(bytes);
        }
      } catch (IOException hostHasLeft) {
        assertThat(host.lost()).succeedsWithin(Duration.ofSeconds(60));
      }
      guest.die();

      GuestLoss loss = host.lost().get(60, TimeUnit.SECONDS);
      assertThat(loss.cause().orElse(null))
          .as(loss.sentence())
          .satisfiesAnyOf(
              cause -> assertThat(cause).isNull(),
              cause -> assertThat(cause).isInstanceOf(IOException.class),
              cause -> assertThat(cause).isInstanceOf(JacksonException.class));
      for (CompletableFuture<?> call : calls) {
        try {
          call.get(60, TimeUnit.SECONDS);
        } catch (ExecutionException failure) {
          assertThat(failure).hasCauseInstanceOf(GuestException.class);
        }
      }
      assertThat(unread.stream().waitingBytes())
          .isLessThanOrEqualTo(Limits.WINDOW + Limits.PAYLOAD);
      assertThat(unread.stream().waitingPieces()).isLessThanOrEqualTo(Limits.PIECES);
      assertThat(left.stream().waitingBytes()).isZero();
    }
  }

  private static void receiveOpen(ScriptedGuest guest, int stream) throws IOException {
    Frame frame = guest.receive();
    while (frame.kind() != FrameKind.OPEN || frame.stream() != stream) {
      frame = guest.receive();
    }
  }

  private static int useTerminal(AgentConnection host) throws Exception {
    GuestTerminal terminal =
        host.terminal(new TerminalCall("n", "c", 80, 24, Optional.empty(), Instant.EPOCH));
    terminal.resize(1, 1);
    var _ = terminal.write(new byte[3 * Limits.WINDOW], Duration.ofMillis(10));
    while (terminal.next().isPresent()) {}
    return terminal.exitCode();
  }

  private static int readAll(GuestExec exec) throws Exception {
    int events = 0;
    while (exec.next().isPresent()) {
      events++;
    }
    return events;
  }

  private static CompletableFuture<?> calling(Callable<?> call) {
    var result = new CompletableFuture<Object>();
    Thread.ofVirtual()
        .start(() -> {
          try {
            result.complete(call.call());
          } catch (Throwable failure) {
            result.completeExceptionally(failure);
          }
        });
    return result;
  }
}
