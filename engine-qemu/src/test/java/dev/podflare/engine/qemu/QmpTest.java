package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.EngineException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.lifecycle.AfterTry;
import net.jqwik.api.lifecycle.BeforeTry;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** The control connection against a monitor that says what it should, and one that does not. */
class QmpTest {

  private Path directory;
  private ScriptedMonitor monitor;

  @BeforeEach
  @BeforeTry
  void openSocket() throws Exception {
    directory = Files.createTempDirectory("qmp");
    monitor = ScriptedMonitor.at(directory.resolve("s"));
  }

  @AfterEach
  @AfterTry
  void closeSocket() throws Exception {
    monitor.close();
    Files.delete(directory.resolve("s"));
    Files.delete(directory);
  }

  private static void ignore(Qmp.Event event) {}

  /** What a call gave: its answer as text, or the kind of its failure. */
  private static CompletableFuture<String> call(Qmp qmp, String command) {
    CompletableFuture<String> outcome = new CompletableFuture<>();
    Thread.ofVirtual()
        .start(() -> {
          try {
            outcome.complete(qmp.execute(command, Map.of()).toString());
          } catch (EngineException e) {
            outcome.complete(e.kind() + ": " + e.getMessage());
          } catch (RuntimeException e) {
            outcome.completeExceptionally(e);
          }
        });
    return outcome;
  }

  private static String outcome(CompletableFuture<String> call) throws Exception {
    return call.get(60, TimeUnit.SECONDS);
  }

  @Test
  void a_command_carries_its_name_and_arguments_and_gets_its_answer() throws Exception {
    try (Qmp qmp = monitor.connect(QmpTest::ignore)) {
      CompletableFuture<JsonNode> answer = new CompletableFuture<>();
      Thread.ofVirtual()
          .start(() -> {
            try {
              answer.complete(qmp.execute("migrate", Map.of("uri", "unix:/a \"b\"\n")));
            } catch (EngineException e) {
              answer.completeExceptionally(e);
            }
          });
      JsonNode command = monitor.command();
      assertThat(command.path("execute").asString()).isEqualTo("migrate");
      assertThat(command.path("arguments").path("uri").asString()).isEqualTo("unix:/a \"b\"\n");
      monitor.answer(command, "{\"n\": 1}");
      assertThat(answer.get(60, TimeUnit.SECONDS).path("n").asInt()).isEqualTo(1);
    }
  }

  @Provide
  Arbitrary<List<Integer>> orders() {
    return Arbitraries.integers()
        .between(1, 12)
        .flatMap(callers ->
            Arbitraries.shuffle(java.util.stream.IntStream.range(0, callers).boxed().toList()));
  }

  @Property(tries = 40)
  void answers_find_their_callers_in_any_order(@ForAll("orders") List<Integer> order)
      throws Exception {
    try (Qmp qmp = monitor.connect(QmpTest::ignore)) {
      List<CompletableFuture<String>> calls = new ArrayList<>();
      for (int caller = 0; caller < order.size(); caller++) {
        calls.add(call(qmp, "command-" + caller));
      }
      List<JsonNode> commands = new ArrayList<>();
      for (int i = 0; i < order.size(); i++) {
        commands.add(monitor.command());
      }
      for (int next : order) {
        JsonNode command = commands.get(next);
        monitor.answer(command, command.path("execute").toString());
      }
      for (int caller = 0; caller < order.size(); caller++) {
        assertThat(outcome(calls.get(caller))).isEqualTo("\"command-" + caller + "\"");
      }
    }
  }

  @Test
  void events_come_while_a_call_waits() throws Exception {
    BlockingQueue<Qmp.Event> events = new LinkedBlockingQueue<>();
    try (Qmp qmp = monitor.connect(events::add)) {
      CompletableFuture<String> call = call(qmp, "stop");
      JsonNode command = monitor.command();
      monitor.say("{\"event\":\"SHUTDOWN\",\"data\":{\"guest\":true}}\n");
      Qmp.Event event = events.poll(60, TimeUnit.SECONDS);
      assertThat(event.name()).isEqualTo("SHUTDOWN");
      assertThat(event.data().path("guest").asBoolean()).isTrue();
      assertThat(call).isNotDone();
      monitor.answer(command, "{}");
      assertThat(outcome(call)).isEqualTo("{}");
    }
  }

  @Test
  void a_refusal_carries_the_monitors_own_words() throws Exception {
    try (Qmp qmp = monitor.connect(QmpTest::ignore)) {
      CompletableFuture<String> call = call(qmp, "cont");
      JsonNode command = monitor.command();
      monitor.say(
          "{\"error\":{\"class\":\"GenericError\",\"desc\":\"not now\"},\"id\":%s}\n"
              .formatted(command.path("id")));
      assertThat(outcome(call)).isEqualTo("FAILED: QEMU refused: not now");
      // The connection is as good as before.
      CompletableFuture<String> next = call(qmp, "cont");
      monitor.answer(monitor.command(), "{}");
      assertThat(outcome(next)).isEqualTo("{}");
    }
  }

  @Test
  void commands_are_sent_at_once_and_their_answers_awaited_one_by_one() throws Exception {
    try (Qmp qmp = monitor.connect(QmpTest::ignore)) {
      try (Qmp.Sent sent =
          qmp.send(List.of(new Qmp.Call("stop", Map.of()), new Qmp.Call("save", Map.of())))) {
        JsonNode stop = monitor.command();
        JsonNode save = monitor.command();
        assertThat(save.path("execute").asString()).isEqualTo("save");
        monitor.answer(stop, "1");
        assertThat(sent.next().asInt()).isEqualTo(1);
        monitor.answer(save, "2");
        assertThat(sent.next().asInt()).isEqualTo(2);
      }
      // One that was given up before its answer came is no trouble for the next.
      qmp.send(List.of(new Qmp.Call("stop", Map.of()))).close();
      JsonNode given = monitor.command();
      CompletableFuture<String> call = call(qmp, "cont");
      monitor.answer(given, "1");
      monitor.answer(monitor.command(), "2");
      assertThat(outcome(call)).isEqualTo("2");
    }
  }

  @Test
  void answers_that_nobody_waits_for_are_dropped() throws Exception {
    try (Qmp qmp = monitor.connect(QmpTest::ignore)) {
      monitor.say("{\"return\":{},\"id\":4711}\n{\"return\":{}}\n[]\n7\n");
      CompletableFuture<String> call = call(qmp, "stop");
      monitor.answer(monitor.command(), "{}");
      assertThat(outcome(call)).isEqualTo("{}");
    }
  }

  @Test
  void the_end_of_the_connection_ends_every_caller_and_all_later_ones() throws Exception {
    try (Qmp qmp = monitor.connect(QmpTest::ignore)) {
      List<CompletableFuture<String>> calls =
          List.of(call(qmp, "one"), call(qmp, "two"), call(qmp, "three"));
      for (int i = 0; i < calls.size(); i++) {
        monitor.command();
      }
      monitor.end();
      for (CompletableFuture<String> call : calls) {
        assertThat(outcome(call)).startsWith("GONE: the microVM ended before it answered ");
      }
      assertThat(outcome(call(qmp, "four"))).startsWith("GONE: ");
    }
  }

  @Test
  void closing_ends_every_caller() throws Exception {
    Qmp qmp = monitor.connect(QmpTest::ignore);
    CompletableFuture<String> call = call(qmp, "one");
    monitor.command();
    qmp.close();
    qmp.close();
    assertThat(outcome(call)).startsWith("GONE: ");
  }

  @Test
  void an_endless_line_ends_the_connection() throws Exception {
    try (Qmp qmp = monitor.connect(QmpTest::ignore)) {
      CompletableFuture<String> call = call(qmp, "one");
      monitor.command();
      String part = "x".repeat(1 << 16);
      assertThatThrownBy(
              () -> {
                for (int i = 0; i < 1000; i++) {
                  monitor.say(part);
                }
              })
          .isInstanceOf(IOException.class);
      assertThat(outcome(call)).startsWith("GONE: ");
    }
  }

  @Test
  void what_is_deeper_than_any_answer_ends_the_connection() throws Exception {
    try (Qmp qmp = monitor.connect(QmpTest::ignore)) {
      CompletableFuture<String> call = call(qmp, "one");
      monitor.command();
      monitor.say("[".repeat(100_000) + "\n");
      assertThat(outcome(call)).startsWith("GONE: ");
    }
  }

  @Provide
  Arbitrary<String> nonsense() {
    return Arbitraries.oneOf(
        Arbitraries.strings().ofMaxLength(60),
        Arbitraries.of(
            "{\"event\":{}}",
            "{\"event\":null,\"data\":7}",
            "{\"id\":{}}",
            "{\"id\":\"2\",\"return\":1}",
            "{\"id\":1e99,\"error\":[]}",
            "{\"id\":2,\"error\":\"no\"}",
            "{\"id\":2,\"error\":{\"desc\":{}}}",
            "{\"id\":2}",
            "{\"QMP\":1}",
            "null",
            "\"\\ud800\"",
            "{"));
  }

  @Property(tries = 100)
  void whatever_the_monitor_says_every_call_has_an_end(
      @ForAll("nonsense") String first, @ForAll("nonsense") String second) throws Exception {
    try (Qmp qmp = monitor.connect(QmpTest::ignore)) {
      CompletableFuture<String> call = call(qmp, "one");
      monitor.command();
      try {
        monitor.say(first + "\n" + second + "\n");
      } catch (IOException endedAfterTheFirst) {
        assertThat(outcome(call)).startsWith("GONE: ");
      }
      monitor.end();
      outcome(call);
      assertThat(outcome(call(qmp, "two"))).startsWith("GONE: ");
    }
  }

  @Test
  void a_monitor_that_ends_before_it_greets_is_gone() throws Exception {
    CompletableFuture<Qmp> connecting = monitor.connecting(QmpTest::ignore);
    monitor.accept();
    monitor.end();
    assertThatThrownBy(() -> connecting.get(60, TimeUnit.SECONDS))
        .isInstanceOf(ExecutionException.class)
        .cause()
        .isInstanceOfSatisfying(
            EngineException.class,
            gone -> assertThat(gone.kind()).isEqualTo(EngineException.Kind.GONE));
  }

  @Test
  void a_socket_that_is_not_there_can_not_be_reached() {
    assertThatThrownBy(() -> Qmp.connect(directory.resolve("none"), QmpTest::ignore))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("can't be reached");
  }
}
