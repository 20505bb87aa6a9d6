package dev.podflare.sdk;

import static dev.podflare.sdk.ScriptedServer.SANDBOX;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.DataInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.Base64;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** How a terminal finds out that its connection is lost. */
class TerminalFramesTest {
  private static final int TEXT = 1;
  private static final int PING = 9;
  private static final int PONG = 10;
  private static final Duration OFTEN = Duration.ofMillis(20);

  /** Longer than any pause of a busy machine. */
  private static final Duration SOON = Duration.ofSeconds(3);

  private static final Duration NEVER = Duration.ofDays(1);

  @Test
  void aServerThatSaysNothingMoreIsTakenForLost() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              upgrade(request, reply);
              reply.awaitClientsEnd();
            });
        Client client = server.client()) {
      TerminalFrames frames = open(client, new TerminalFrames(null, OFTEN, SOON));
      assertThatThrownBy(frames::awaitExit)
          .isInstanceOf(ConnectionException.class)
          .hasMessageContaining("the server said nothing for 3.0 s")
          .satisfies(lost ->
              assertThat(((PodflareException) lost).code()).contains("terminal_disconnected"));
      assertThat(frames.output().read()).isEqualTo(-1);
    }
  }

  @Test
  void aServerThatAnswersPingsIsNot() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              upgrade(request, reply);
              DataInputStream in = new DataInputStream(reply.in());
              long end = System.nanoTime() + SOON.multipliedBy(2).toNanos();
              while (System.nanoTime() < end) {
                assertThat(in.readUnsignedByte() & 0x0f).isEqualTo(PING);
                in.readFully(
                    new byte[(in.readUnsignedByte() & 0x7f) + 4]); // The mask, and no text.
                frame(reply, PONG, "");
              }
              frame(reply, TEXT, "{\"exit\":{\"code\":3}}");
              reply.awaitClientsEnd();
            });
        Client client = server.client()) {
      TerminalFrames frames = open(client, new TerminalFrames(null, OFTEN, SOON));
      assertThat(frames.awaitExit().code()).isEqualTo(3);
    }
  }

  @Test
  void aServerThatIsGoneIsFoundOutWithoutWaitingForItsSilence() throws Exception {
    CountDownLatch heard = new CountDownLatch(1);
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              upgrade(request, reply);
              heard.await();
              reply.drop();
            });
        Client client = server.client()) {
      TerminalFrames frames = open(client, new TerminalFrames(null, OFTEN, NEVER));
      heard.countDown();
      assertThatThrownBy(frames::awaitExit)
          .isInstanceOf(ConnectionException.class)
          .hasMessageContaining("the connection to the terminal broke");
    }
  }

  @Test
  void aReaderThatIsSlowIsNoServerThatIsSilent() throws Exception {
    CountDownLatch told = new CountDownLatch(1);
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              upgrade(request, reply);
              frame(reply, 2, "x");
              reply.awaitClientsEnd();
            });
        Client client = server.client()) {
      TerminalFrames frames =
          new TerminalFrames(
              bytes -> {
                // Longer than the silence that is borne.
                assertThat(await(told, SOON.plusSeconds(1))).isFalse();
                told.countDown();
              },
              OFTEN,
              SOON);
      open(client, frames);
      assertThatThrownBy(frames::awaitExit).hasMessageContaining("the server said nothing");
      assertThat(told.getCount()).as("the callback had its time first").isZero();
    }
  }

  private static boolean await(CountDownLatch latch, Duration longest) {
    try {
      return latch.await(longest.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException interrupted) {
      throw new AssertionError(interrupted);
    }
  }

  private static TerminalFrames open(Client client, TerminalFrames frames) {
    client.transport().webSocket("/v1/sandboxes/" + SANDBOX + "/pty", null, frames);
    assertThat(frames.awaitHello("the server", Duration.ofSeconds(30)).count("pid")).isEqualTo(7);
    return frames;
  }

  private static void upgrade(ScriptedServer.Request request, ScriptedServer.Reply reply)
      throws Exception {
    String key = request.header("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    byte[] hash =
        MessageDigest.getInstance("SHA-1").digest(key.getBytes(StandardCharsets.US_ASCII));
    reply.send(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Accept: "
            + Base64.getEncoder().encodeToString(hash)
            + "\r\n\r\n");
    frame(reply, TEXT, "{\"pty\":\"pty_1\",\"pid\":7}");
  }

  /** A whole frame of less than 126 bytes. */
  private static void frame(ScriptedServer.Reply reply, int kind, String text) throws IOException {
    byte[] payload = text.getBytes(StandardCharsets.UTF_8);
    byte[] frame = new byte[payload.length + 2];
    frame[0] = (byte) (0x80 | kind);
    frame[1] = (byte) payload.length;
    System.arraycopy(payload, 0, frame, 2, payload.length);
    reply.send(frame);
  }
}
