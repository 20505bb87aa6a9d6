package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.sandbox.ExecEvent;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StalledClientsTest {

  /** A client that does not stall must never seem to, on a machine that does much else. */
  private static final Duration LIMIT = Duration.ofSeconds(2);

  private RunningServer server;

  @BeforeEach
  void start() throws Exception {
    server = RunningServer.withStallLimit(LIMIT);
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "GET /v1/heal",
        "GET /v1/healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        "POST /v1/sandboxes HTTP/1.1\r\nHost: localhost\r\n"
            + "Authorization: Bearer pf_live_one\r\nContent-Length: 10\r\n\r\n{",
      })
  void aClientThatSendsNoMoreIsCut(String beginning) throws Exception {
    try (Socket socket = server.connect()) {
      socket.getOutputStream().write(beginning.getBytes(StandardCharsets.US_ASCII));

      // Reads to the end of the connection: the socket's own deadline fails the test.
      String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);

      assertThat(answer).doesNotContain("HTTP/1.1 200");
    }
    assertThat(server.sandboxes.created).isEmpty();
  }

  @Test
  void aClientThatTakesNothingIsCutAndItsStreamIsClosed() throws Exception {
    SandboxesInMemory.Script script = new SandboxesInMemory.Script();
    server.sandboxes.running = (sandbox, request) -> script;
    String head =
        RunningServer.head(
            "POST", "/v1/sandboxes/" + server.create() + "/exec", "Content-Length: 11");
    Thread talker = Thread.ofVirtual().start(() -> talkOn(script));
    try (Socket socket = server.connect()) {
      socket
          .getOutputStream()
          .write((head + "{\"code\":\"\"}").getBytes(StandardCharsets.US_ASCII));

      assertThat(script.closed.poll(60, TimeUnit.SECONDS)).isTrue();
    }
    talker.interrupt();
  }

  @Test
  void aClientThatWaitsForASilentExecIsNotCut() throws Exception {
    SandboxesInMemory.Script script = new SandboxesInMemory.Script();
    server.sandboxes.running = (sandbox, request) -> script;
    String exec = "/v1/sandboxes/" + server.create() + "/exec";
    Thread exit =
        Thread.ofVirtual()
            .start(() -> {
              try {
                Thread.sleep(LIMIT.multipliedBy(4));
                script.emit(SandboxesInMemory.exit());
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            });

    assertThat(server.post(exec, "{\"code\":\"\"}").body()).contains("\"type\":\"exit\"");
    exit.join();
  }

  private static void talkOn(SandboxesInMemory.Script script) {
    try {
      while (true) {
        script.emit(new ExecEvent.Stdout("x".repeat(10_000)));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
