package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.sandbox.OpenTerminal;
import dev.podflare.sandbox.TerminalEvent;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.net.http.WebSocketHandshakeException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TerminalCallsTest {

  private RunningServer server;
  private String sandbox;

  @BeforeEach
  void start() throws Exception {
    server = RunningServer.withKeys();
    sandbox = server.create();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  /** What a client hears: frames as text, and at the end the code of the close. */
  private static final class Heard implements WebSocket.Listener {
    final BlockingQueue<String> frames = new LinkedBlockingQueue<>();

    String next() throws InterruptedException {
      String frame = frames.poll(60, TimeUnit.SECONDS);
      assertThat(frame).isNotNull();
      return frame;
    }

    @Override
    public CompletionStage<?> onText(WebSocket socket, CharSequence data, boolean last) {
      frames.add("text " + data);
      socket.request(1);
      return null;
    }

    @Override
    public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer data, boolean last) {
      frames.add("bytes " + StandardCharsets.UTF_8.decode(data));
      socket.request(1);
      return null;
    }

    @Override
    public CompletionStage<?> onPong(WebSocket socket, ByteBuffer payload) {
      frames.add("pong " + StandardCharsets.UTF_8.decode(payload));
      socket.request(1);
      return null;
    }

    @Override
    public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
      frames.add("close " + code);
      return null;
    }

    @Override
    public void onError(WebSocket socket, Throwable error) {
      frames.add("error " + error);
    }
  }

  private final Heard heard = new Heard();

  private WebSocket connect(String path) throws Exception {
    return connect(path, client -> client.header("Authorization", "Bearer " + RunningServer.KEY));
  }

  private interface Credentials {
    WebSocket.Builder on(WebSocket.Builder client);
  }

  private WebSocket connect(String path, Credentials credentials) throws Exception {
    HttpClient client = HttpClient.newHttpClient();
    return credentials
        .on(client.newWebSocketBuilder())
        .buildAsync(URI.create("ws://127.0.0.1:" + server.address().getPort() + path), heard)
        .get(60, TimeUnit.SECONDS);
  }

  private String pty(String query) {
    return "/v1/sandboxes/" + sandbox + "/pty" + query;
  }

  @Test
  void aPingIsAnsweredWithWhatItBrought() throws Exception {
    WebSocket socket = connect(pty(""));
    assertThat(heard.next()).startsWith("text ");
    socket.sendPing(ByteBuffer.wrap("still there?".getBytes(StandardCharsets.UTF_8))).join();
    assertThat(heard.next()).isEqualTo("pong still there?");
  }

  @Test
  void aTerminalSaysItsNameThenWhatItSaysThenItsEnd() throws Exception {
    WebSocket socket = connect(pty(""));
    assertThat(heard.next())
        .isEqualTo("text {\"pty\":\"" + server.sandboxes.terminal.id + "\",\"pid\":7}");
    server.sandboxes.terminal.say("hello");
    assertThat(heard.next()).isEqualTo("bytes hello");
    socket.sendBinary(ByteBuffer.wrap("typed".getBytes(StandardCharsets.UTF_8)), true).join();
    assertThat(server.sandboxes.terminal.typed.poll(60, TimeUnit.SECONDS)).isEqualTo("typed");
    server.sandboxes.terminal.exit(3, Optional.empty());
    assertThat(heard.next()).isEqualTo("text {\"exit\":{\"code\":3}}");
    assertThat(heard.next()).isEqualTo("close 1000");
    assertThat(server.sandboxes.terminal.closed.poll(60, TimeUnit.SECONDS)).isTrue();
    assertThat(server.sandboxes.opened)
        .containsExactly(new OpenTerminal("bash -l", 80, 24, Optional.empty()));
  }

  @Test
  void whatRunsAndHowLargeItIsCanBeSaid() throws Exception {
    connect(pty("?cmd=top%20-d%201&cols=132&rows=50&cwd=%2Ftmp")).abort();
    assertThat(server.sandboxes.opened)
        .containsExactly(new OpenTerminal("top -d 1", 132, 50, Optional.of("/tmp")));
    assertThat(server.sandboxes.terminal.closed.poll(60, TimeUnit.SECONDS)).isTrue();
  }

  @Test
  void aMachineThatEndedIsSaid() throws Exception {
    connect(pty(""));
    heard.next();
    server.sandboxes.terminal.exit(137, Optional.of("killed"));
    assertThat(heard.next()).isEqualTo("text {\"exit\":{\"code\":137,\"reason\":\"killed\"}}");
  }

  @Test
  void whoIsTakenOverIsToldBy4001() throws Exception {
    connect(pty("?pty=" + server.sandboxes.terminal.id));
    heard.next();
    server.sandboxes.terminal.events.add(new TerminalEvent.TakenOver());
    assertThat(heard.next()).isEqualTo("close 4001");
    assertThat(server.sandboxes.opened).isEmpty();
  }

  @Test
  void aSizeAtAttachingIsPassedOn() throws Exception {
    connect(pty("?pty=" + server.sandboxes.terminal.id + "&cols=99"));
    assertThat(server.sandboxes.terminal.told.poll(60, TimeUnit.SECONDS)).isEqualTo("99x24");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "{\"resize\":{\"cols\":100,\"rows\":40}}; 100x40",
        "{\"resize\":{\"rows\":40}}; 80x40",
        "{\"signal\":\"SIGINT\"}; SIGINT",
        "{\"kill\":true}; SIGKILL",
        "{\"new\":1,\"kill\":true}; SIGKILL",
      })
  void textFramesSteerATerminal(String frame, String told) throws Exception {
    WebSocket socket = connect(pty(""));
    int half = frame.length() / 2;
    socket.sendText(frame.substring(0, half), false).join();
    socket.sendText(frame.substring(half), true).join();
    assertThat(server.sandboxes.terminal.told.poll(60, TimeUnit.SECONDS)).isEqualTo(told);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{",
        "7",
        "{\"resize\":7}",
        "{\"resize\":{\"cols\":0}}",
        "{\"resize\":{\"cols\":10001}}",
        "{\"signal\":\"SIGNAL\"}",
        "{\"signal\":9}",
        "{\"kill\":\"yes\"}"
      })
  void textThatMakesNoSenseEndsTheConnectionAndNotTheTerminal(String frame) throws Exception {
    WebSocket socket = connect(pty(""));
    heard.next();
    socket.sendText(frame, true).join();
    assertThat(heard.next()).isEqualTo("close 1007");
    assertThat(server.sandboxes.terminal.closed.poll(60, TimeUnit.SECONDS)).isTrue();
    assertThat(server.sandboxes.terminal.told).isEmpty();
  }

  @Test
  void endlessTextIsNotGathered() throws Exception {
    WebSocket socket = connect(pty(""));
    heard.next();
    socket.sendText("x".repeat(4000), false).join();
    socket.sendText("x".repeat(4000), false).join();
    assertThat(heard.next()).isEqualTo("close 1009");
  }

  @Test
  void aFrameBeyondAMebibyteIsRefusedByItsHead() throws Exception {
    try (Socket socket = server.connect()) {
      shakeHands(socket);
      // Two MiB, announced in 8 bytes, of which none comes.
      socket
          .getOutputStream()
          .write(new byte[] {(byte) 0x82, (byte) 0xFF, 0, 0, 0, 0, 0, 32, 0, 0});
      byte[] end = socket.getInputStream().readAllBytes();
      assertThat(new String(end, StandardCharsets.ISO_8859_1)).contains("\u0003\u00f1"); // 1009
    }
    assertThat(server.sandboxes.terminal.closed.poll(60, TimeUnit.SECONDS)).isTrue();
  }

  @Test
  void aFrameWithoutAMaskIsRefused() throws Exception {
    try (Socket socket = server.connect()) {
      shakeHands(socket);
      socket.getOutputStream().write(new byte[] {(byte) 0x82, 1, 'x'});
      byte[] end = socket.getInputStream().readAllBytes();
      assertThat(new String(end, StandardCharsets.ISO_8859_1)).contains("\u0003\u00ea"); // 1002
    }
    assertThat(server.sandboxes.terminal.typed).isEmpty();
  }

  private void shakeHands(Socket socket) throws Exception {
    socket
        .getOutputStream()
        .write(
            RunningServer.head(
                    "GET",
                    pty(""),
                    "Connection: keep-alive, Upgrade",
                    "Upgrade: websocket",
                    "Sec-WebSocket-Version: 13",
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
                .getBytes(StandardCharsets.US_ASCII));
    StringBuilder head = new StringBuilder();
    while (head.indexOf("\r\n\r\n") < 0) {
      head.append((char) socket.getInputStream().read());
    }
    assertThat(head.toString())
        .startsWith("HTTP/1.1 101 ")
        .contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        .contains("X-Request-Id: req_");
  }

  @Test
  void inputThatNobodyReadsEndsTheConnection() throws Exception {
    server.sandboxes.terminal.takesInput = false;
    WebSocket socket = connect(pty(""));
    heard.next();
    socket.sendBinary(ByteBuffer.allocate(1), true).join();
    assertThat(heard.next()).isEqualTo("close 4008");
  }

  @Test
  void aClientThatGoesAwayLeavesTheTerminal() throws Exception {
    WebSocket socket = connect(pty(""));
    heard.next();
    socket.sendClose(WebSocket.NORMAL_CLOSURE, "").join();
    assertThat(server.sandboxes.terminal.closed.poll(60, TimeUnit.SECONDS)).isTrue();
    assertThat(server.sandboxes.terminal.told).isEmpty();
  }

  @Test
  void aServerThatStopsSaysSo() throws Exception {
    connect(pty(""));
    heard.next();
    server.close();
    assertThat(heard.next()).isEqualTo("close 1001");
    server = RunningServer.withKeys();
  }

  // ---- who may ----

  @Test
  void aClientThatCanSetNoHeaderSendsItsKeyAsASubprotocol() throws Exception {
    WebSocket socket =
        connect(
            pty(""),
            client -> client.subprotocols("podflare", "podflare.bearer." + RunningServer.KEY));
    assertThat(socket.getSubprotocol()).isEqualTo("podflare");
    assertThat(heard.next()).contains("pty_");
  }

  @Test
  void withoutAKeyOrWithAWrongOneThereIsNone() {
    assertRefused(pty(""), client -> client, 401);
    assertRefused(pty(""), client -> client.header("Authorization", "Bearer nonsense"), 401);
    assertRefused(
        pty(""), client -> client.subprotocols("podflare", "podflare.bearer.nonsense"), 401);
  }

  @Test
  void anotherKeysSandboxIsNotFound() {
    assertRefused(
        pty(""),
        client -> client.header("Authorization", "Bearer " + RunningServer.OTHER_KEY),
        404);
  }

  @ParameterizedTest
  @CsvSource({
    "?cols=0, 422",
    "?cols=wide, 400",
    "?rows=10001, 422",
    "?cmd=, 422",
    "?cmd=%00, 422",
    "?cwd=, 422",
    "?pty=pty_1, 404",
    "?pty=pty_00000000000000000000000000000000, 404",
  })
  void whatMakesNoSenseIsRefusedBeforeTheHandshake(String query, int status) {
    assertRefused(
        pty(query),
        client -> client.header("Authorization", "Bearer " + RunningServer.KEY),
        status);
    assertThat(server.sandboxes.opened).isEmpty();
  }

  private void assertRefused(String path, Credentials credentials, int status) {
    assertThatThrownBy(() -> connect(path, credentials))
        .cause()
        .isInstanceOfSatisfying(
            WebSocketHandshakeException.class,
            refused -> assertThat(refused.getResponse().statusCode()).isEqualTo(status));
  }

  @Test
  void aRefusalHasTheBodyOfEveryError() throws Exception {
    String answer =
        server.raw(
            RunningServer.head(
                "GET",
                pty("?cols=0"),
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="));
    assertThat(answer)
        .startsWith("HTTP/1.1 422 ")
        .contains("X-Request-Id: req_")
        .contains("Connection: close")
        .contains("\"code\":\"bad_value\"")
        .contains("\"field\":\"cols\"");
  }

  @Test
  void aWebPageFindsNoTerminalOnAServerWithoutKeys() throws Exception {
    server.close();
    server = RunningServer.withoutKeys();
    sandbox = server.create();
    String[] handshake = {
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      "Origin: http://127.0.0.1"
    };
    assertThat(server.raw(RunningServer.head("GET", pty(""), handshake)))
        .startsWith("HTTP/1.1 403 ")
        .contains("foreign_site");
    assertThat(server.sandboxes.opened).isEmpty();
  }

  // ---- not a WebSocket ----

  @Test
  void aPlainRequestIsToldWhatIsWanted() throws Exception {
    RunningServer.Answer answer = server.get(pty(""));
    assertThat(answer.status()).isEqualTo(426);
    assertThat(answer.text("code")).isEqualTo("upgrade_required");
    assertThat(answer.headers().firstValue("Sec-WebSocket-Version")).contains("13");
  }

  @ParameterizedTest
  @ValueSource(strings = {"Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: short", "X-Other: 1"})
  void aHandshakeThatIsNoneIsToldWhatIsWanted(String odd) throws Exception {
    String answer =
        server.raw(
            RunningServer.head(
                "GET",
                pty(""),
                "Connection: Upgrade",
                "Upgrade: websocket",
                odd,
                odd.startsWith("Sec-WebSocket-V")
                    ? "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
                    : "Sec-WebSocket-Version: 13"));
    assertThat(answer).startsWith("HTTP/1.1 426 ");
    assertThat(server.sandboxes.opened).isEmpty();
  }

  @Test
  void aHandshakeElsewhereIsAnOrdinaryRequest() throws Exception {
    String answer =
        server.raw(
            RunningServer.head(
                "GET",
                "/v1/healthz",
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="));
    assertThat(answer).startsWith("HTTP/1.1 200 ");
  }

  @Test
  void terminalsAreListed() throws Exception {
    var listed = server.get("/v1/sandboxes/" + sandbox + "/ptys").json().required("ptys");
    assertThat(listed.get(0).required("id").asString())
        .isEqualTo(server.sandboxes.terminal.id.value());
    assertThat(listed.get(0).required("exit_code").isNull()).isTrue();
    assertThat(listed.get(0).required("attached").asBoolean()).isTrue();
  }

  @Test
  void aTerminalIsKilledById() throws Exception {
    connect(pty(""));
    heard.next();
    String path = "/v1/sandboxes/" + sandbox + "/ptys/";
    assertThat(server.delete(path + server.sandboxes.terminal.id).status()).isEqualTo(204);
    assertThat(heard.next()).contains("137");
    assertThat(server.delete(path + "pty_" + "0".repeat(32)).status()).isEqualTo(404);
    assertThat(server.delete(path + "nonsense").text("code")).isEqualTo("terminal_not_found");
  }

  // ---- time ----

  @Test
  void aSilentTerminalPingsAndAClientThatAnswersIsKept() throws Exception {
    server.close();
    Duration limit = Duration.ofSeconds(2);
    server = RunningServer.withStallLimit(limit);
    sandbox = server.create();
    connect(pty(""));
    heard.next();
    assertThat(heard.frames.poll(4 * limit.toMillis(), TimeUnit.MILLISECONDS)).isNull();
    server.sandboxes.terminal.say("still here");
    assertThat(heard.next()).isEqualTo("bytes still here");
  }

  @Test
  void aClientThatAnswersNothingIsCut() throws Exception {
    server.close();
    server = RunningServer.withStallLimit(Duration.ofSeconds(2));
    sandbox = server.create();
    try (Socket socket = server.connect()) {
      shakeHands(socket);
      assertThat(server.sandboxes.terminal.closed.poll(60, TimeUnit.SECONDS)).isTrue();
    }
  }
}
