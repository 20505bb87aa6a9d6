package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.sandbox.ExecEvent;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class ConcurrentExecsTest {

  private static final int SANDBOXES = 50;
  private static final int EXECS = 200;
  private static final int LINES = 100;
  private static final JsonMapper JSON = JsonMapper.builder().build();

  @Test
  void twoHundredStreamsAtOnceDoNotMix() throws Exception {
    CountDownLatch allRun = new CountDownLatch(EXECS);
    try (RunningServer server = RunningServer.withKeys();
        ExecutorService clients = Executors.newVirtualThreadPerTaskExecutor()) {
      server.sandboxes.running =
          (sandbox, request) -> {
            SandboxesInMemory.Script script = new SandboxesInMemory.Script();
            clients.execute(() -> print(script, sandbox + " " + request.code(), allRun));
            return script;
          };
      List<String> ids = new ArrayList<>();
      for (int i = 0; i < SANDBOXES; i++) {
        ids.add(server.create());
      }

      List<Future<Void>> calls = new ArrayList<>();
      for (int i = 0; i < EXECS; i++) {
        String id = ids.get(i % SANDBOXES);
        String code = "code-" + i;
        calls.add(
            clients.submit(() -> {
              String body = "{\"code\":\"" + code + "\"}";
              expectOwnLines(
                  server.post("/v1/sandboxes/" + id + "/exec", body).body(), id + " " + code);
              return null;
            }));
      }
      for (Future<Void> call : calls) {
        call.get(60, TimeUnit.SECONDS);
      }
    }
  }

  /** Prints nothing before every exec runs, so that all of them run at once. */
  private static void print(SandboxesInMemory.Script script, String text, CountDownLatch allRun) {
    try {
      allRun.countDown();
      assertThat(allRun.await(60, TimeUnit.SECONDS)).isTrue();
      for (int line = 0; line < LINES; line++) {
        script.emit(new ExecEvent.Stdout(text + " " + line));
      }
      script.emit(SandboxesInMemory.exit());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void expectOwnLines(String body, String text) {
    List<String> lines = body.lines().toList();
    assertThat(lines).hasSize(LINES + 1);
    for (int line = 0; line < LINES; line++) {
      JsonNode event = JSON.readTree(lines.get(line));
      assertThat(event.required("data").asString()).isEqualTo(text + " " + line);
      assertThat(event.required("seq").asInt()).isEqualTo(line);
    }
    assertThat(JSON.readTree(lines.getLast()).required("type").asString()).isEqualTo("exit");
  }
}
