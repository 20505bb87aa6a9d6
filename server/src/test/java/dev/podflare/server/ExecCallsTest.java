package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.sandbox.ExecEvent;
import dev.podflare.sandbox.ExecId;
import dev.podflare.sandbox.ExecInfo;
import dev.podflare.sandbox.ExecRequest;
import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.Socket;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ExecCallsTest {

  private RunningServer server;

  @BeforeEach
  void start() throws Exception {
    server = RunningServer.withKeys();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @Test
  void everyEventIsALineOfItsOwn() throws Exception {
    String id = server.create();
    server.sandboxes.running =
        (sandbox, request) ->
            new SandboxesInMemory.Script(
                new ExecEvent.Stdout("4\n2"),
                new ExecEvent.Stderr("\ud800 and \ud83d\ude00"),
                new ExecEvent.Result(Map.of("text/plain", "42")),
                new ExecEvent.Failure("ValueError", "bad", "Traceback…"),
                new ExecEvent.Exit(137, ExecEvent.Reason.OOM, false, Duration.ofMillis(12)));

    RunningServer.Answer answer =
        server.post("/v1/sandboxes/" + id + "/exec", "{\"code\":\"print(42)\"}");

    assertThat(answer.headers().firstValue("Content-Type")).contains("application/x-ndjson");
    assertThat(answer.body())
        .isEqualTo(
            """
            {"type":"stdout","data":"4\\n2","seq":0,"ts":1776510028036}
            {"type":"stderr","data":"\ufffd and \ud83d\ude00","seq":1,"ts":1776510028036}
            {"type":"result","data":{"text/plain":"42"},"seq":2,"ts":1776510028036}
            {"type":"error","data":{"name":"ValueError","value":"bad","traceback":"Traceback…"},\
            "seq":3,"ts":1776510028036}
            {"type":"exit","data":137,"reason":"oom","state_kept":false,"duration_ms":12,\
            "seq":4,"ts":1776510028036}
            """);
  }

  @Test
  void execHandsOnEveryField() throws Exception {
    String id = server.create();

    server.post(
        "/v1/sandboxes/" + id + "/exec",
        """
        {"code":"ls","language":"bash","timeout_seconds":0.25,"env":{"A":"b"},"cwd":"/tmp"}
        """);

    assertThat(server.sandboxes.execs)
        .containsExactly(
            new ExecRequest(
                "ls",
                ExecRequest.Language.BASH,
                Optional.of(Duration.ofMillis(250)),
                Map.of("A", "b"),
                Optional.of("/tmp")));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "400 | code | {}",
        "400 | code | {\"code\":1}",
        "400 | language | {\"code\":\"\",\"language\":3}",
        "422 | language | {\"code\":\"\",\"language\":\"cobol\"}",
        "422 | timeout_seconds | {\"code\":\"\",\"timeout_seconds\":0}",
        "422 | cwd | {\"code\":\"\",\"cwd\":\"\"}",
      })
  void aFieldThatMakesNoSenseIsNamedAndNothingRuns(int status, String field, String body)
      throws Exception {
    RunningServer.Answer answer = server.post("/v1/sandboxes/" + server.create() + "/exec", body);

    assertThat(answer.status()).isEqualTo(status);
    assertThat(answer.text("field")).isEqualTo(field);
    assertThat(answer.text("error")).contains(field);
    assertThat(server.sandboxes.execs).isEmpty();
  }

  @Test
  void aLineIsSentBeforeTheNextOneIsThere() throws Exception {
    SandboxesInMemory.Script script = new SandboxesInMemory.Script();
    server.sandboxes.running = (sandbox, request) -> script;
    HttpResponse<InputStream> response =
        streamInBackground(server.create(), script, new ExecEvent.Stdout("first"));

    try (BufferedReader lines =
        new BufferedReader(new InputStreamReader(response.body(), StandardCharsets.UTF_8))) {
      assertThat(lines.readLine()).contains("first");
      script.emit(new ExecEvent.Stdout("second"));
      assertThat(lines.readLine()).contains("second");
      script.emit(SandboxesInMemory.exit());
      assertThat(lines.readLine()).contains("\"type\":\"exit\"");
      assertThat(lines.readLine()).isNull();
    }
  }

  @Test
  void aSilentStreamBeatsUntilThereIsAnEvent() throws Exception {
    try (RunningServer beating = RunningServer.withHeartbeat(Duration.ofMillis(50))) {
      SandboxesInMemory.Script script = new SandboxesInMemory.Script();
      beating.sandboxes.running = (sandbox, request) -> script;
      HttpResponse<InputStream> response =
          beating.stream(
              beating
                  .request("/v1/sandboxes/" + beating.create() + "/exec")
                  .POST(HttpRequest.BodyPublishers.ofString("{\"code\":\"\"}")));
      try (BufferedReader lines =
          new BufferedReader(new InputStreamReader(response.body(), StandardCharsets.UTF_8))) {
        assertThat(lines.readLine()).isBlank();
        assertThat(lines.readLine()).isEmpty();
        script.emit(SandboxesInMemory.exit());
        String next = lines.readLine();
        while (next.isEmpty()) {
          next = lines.readLine();
        }
        assertThat(next).contains("\"type\":\"exit\"");
      }
    }
  }

  @Test
  void anExecThatWaitsSaysBehindWhich() throws Exception {
    String id = server.create();
    ExecId running = ExecId.random();
    server.sandboxes.running =
        (sandbox, request) ->
            new SandboxesInMemory.Script(
                new ExecEvent.Waiting(Optional.of(running)), SandboxesInMemory.exit());

    assertThat(server.post("/v1/sandboxes/" + id + "/exec", "{\"code\":\"1\"}").body())
        .startsWith("{\"type\":\"waiting\",\"data\":{\"behind\":\"" + running + "\"},\"seq\":0,");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "cod | Did you mean it by cod? | {\"cod\":\"1\"}",
        "timeout | Did you mean timeout_seconds? | {\"code\":\"1\",\"timeout\":1}",
        "timeoutSeconds | Did you mean timeout_seconds? | {\"code\":\"1\",\"timeoutSeconds\":1}",
        "lnaguage | Did you mean language? | {\"code\":\"1\",\"lnaguage\":\"bash\"}",
        "colour | This call has the fields | {\"code\":\"1\",\"colour\":null}",
      })
  void aFieldThatIsNotKnownIsRefusedAndTheNearestNamed(String field, String hint, String body)
      throws Exception {
    RunningServer.Answer answer = server.post("/v1/sandboxes/" + server.create() + "/exec", body);

    assertThat(answer.status()).isEqualTo(400);
    assertThat(answer.text("code")).isEqualTo("bad_field");
    assertThat(answer.text("hint")).contains(hint);
    assertThat(answer.body()).contains(field);
    assertThat(server.sandboxes.execs).isEmpty();
  }

  @Test
  void aClientThatGoesAwayClosesItsStreamOnly() throws Exception {
    SandboxesInMemory.Script script = new SandboxesInMemory.Script(new ExecEvent.Stdout("first"));
    server.sandboxes.running = (sandbox, request) -> script;
    String id = server.create();
    String body = "{\"code\":\"\"}";
    try (Socket socket = server.connect()) {
      socket
          .getOutputStream()
          .write(
              (RunningServer.head(
                          "POST",
                          "/v1/sandboxes/" + id + "/exec",
                          "Content-Length: " + body.length())
                      + body)
                  .getBytes(StandardCharsets.UTF_8));
      assertThat(socket.getInputStream().read()).isEqualTo('H');
      socket.setSoLinger(true, 0);
    }
    Thread talker = Thread.ofVirtual().start(() -> talkOn(script));

    assertThat(script.closed.poll(60, TimeUnit.SECONDS)).isTrue();
    talker.interrupt();
    assertThat(server.get("/v1/sandboxes/" + id).status()).isEqualTo(200);
  }

  @Test
  void aDetachedExecIsAnsweredWithItsIdAndKnownByIt() throws Exception {
    String path = "/v1/sandboxes/" + server.create();

    RunningServer.Answer answer = server.post(path + "/exec", "{\"code\":\"1\",\"detach\":true}");

    assertThat(answer.status()).isEqualTo(202);
    String exec = answer.text("exec");
    assertThat(answer.headers().firstValue("X-Exec-Id")).contains(exec);
    assertThat(server.get(path + "/execs/" + exec).body())
        .isEqualTo(
            "{\"id\":\""
                + exec
                + "\",\"language\":\"python\",\"background\":false,\"state\":\"queued\","
                + "\"code\":\"1\",\"created_at\":1776510028036,\"started_at\":null,"
                + "\"ended_at\":null,\"exit_code\":null,\"reason\":null,\"events\":0,"
                + "\"first_seq\":0}");
    assertThat(server.get(path + "/execs").json().required("execs")).hasSize(1);
    assertThat(server.post(path + "/execs/" + exec + "/interrupt", "").status()).isEqualTo(204);
    assertThat(server.sandboxes.interruptedExecs.poll(60, TimeUnit.SECONDS).value())
        .isEqualTo(exec);
  }

  @Test
  void onlyBashRunsInTheBackground() throws Exception {
    String path = "/v1/sandboxes/" + server.create() + "/exec";

    RunningServer.Answer refused = server.post(path, "{\"code\":\"1\",\"background\":true}");
    RunningServer.Answer bash =
        server.post(path, "{\"code\":\"ls\",\"language\":\"bash\",\"background\":true}");

    assertThat(refused.status()).isEqualTo(422);
    assertThat(refused.text("field")).isEqualTo("background");
    assertThat(bash.status()).isEqualTo(202);
    assertThat(server.sandboxes.started.values()).singleElement().matches(ExecInfo::background);
  }

  @Test
  void tooManyExecsAreRefusedWithTheTimeToComeBack() throws Exception {
    String path = "/v1/sandboxes/" + server.create() + "/exec";
    String body = "{\"code\":\"1\",\"detach\":true}";
    for (int i = 0; i < SandboxesInMemory.MOST_EXECS; i++) {
      assertThat(server.post(path, body).status()).isEqualTo(202);
    }

    RunningServer.Answer answer = server.post(path, body);

    assertThat(answer.status()).isEqualTo(429);
    assertThat(answer.headers().firstValue("Retry-After")).contains("1");
  }

  @Test
  void aReaderGetsTheEventsFromTheOneThatItNames() throws Exception {
    String path = "/v1/sandboxes/" + server.create();
    server.sandboxes.attaching =
        () -> new SandboxesInMemory.Script(new ExecEvent.Gap(7, 12), SandboxesInMemory.exit());
    String exec = server.post(path + "/exec", "{\"code\":\"1\",\"detach\":true}").text("exec");

    RunningServer.Answer answer = server.get(path + "/execs/" + exec + "/stream?from=7");

    assertThat(server.sandboxes.attached.poll(60, TimeUnit.SECONDS)).isEqualTo(7);
    assertThat(answer.body().lines().findFirst())
        .contains(
            "{\"type\":\"gap\",\"data\":{\"from\":7,\"to\":12},\"seq\":0,\"ts\":1776510028036}");
  }

  @ParameterizedTest
  @CsvSource({
    "404, exe_00000000000000000000000000000000",
    "404, exe_00000000000000000000000000000000/stream",
    "404, ..",
    "404, exe_0/stream",
    "422, exe_00000000000000000000000000000000/stream?from=-1",
    "422, exe_00000000000000000000000000000000/stream?from=",
    "422, exe_00000000000000000000000000000000/stream?from=9999999999999999999",
  })
  void anExecThatIsNotThereIsNotFound(int status, String rest) throws Exception {
    RunningServer.Answer answer = server.get("/v1/sandboxes/" + server.create() + "/execs/" + rest);

    assertThat(answer.status()).isEqualTo(status);
    assertThat(answer.text("code")).isEqualTo(status == 404 ? "exec_not_found" : "bad_value");
  }

  @Test
  void theHeadOfASilentExecGoesAheadWithItsId() throws Exception {
    SandboxesInMemory.Script script = new SandboxesInMemory.Script();
    server.sandboxes.running = (sandbox, request) -> script;

    HttpResponse<InputStream> response =
        server.stream(
            server
                .request("/v1/sandboxes/" + server.create() + "/exec")
                .POST(HttpRequest.BodyPublishers.ofString("{\"code\":\"\"}")));

    assertThat(response.headers().firstValue("X-Exec-Id")).contains(script.id().value());
    script.emit(SandboxesInMemory.exit());
    assertThat(new String(response.body().readAllBytes(), StandardCharsets.UTF_8).strip())
        .startsWith("{\"type\":\"exit\"");
  }

  @Test
  void interruptReachesTheSandbox() throws Exception {
    String id = server.create();

    assertThat(server.post("/v1/sandboxes/" + id + "/interrupt", "").status()).isEqualTo(204);
    assertThat(server.sandboxes.interrupted.poll(60, TimeUnit.SECONDS).value()).isEqualTo(id);
  }

  private static void talkOn(SandboxesInMemory.Script script) {
    try {
      while (true) {
        script.emit(new ExecEvent.Stdout("more"));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private HttpResponse<InputStream> streamInBackground(
      String id, SandboxesInMemory.Script script, ExecEvent first) throws Exception {
    script.emit(first);
    return server.stream(
        server
            .request("/v1/sandboxes/" + id + "/exec")
            .POST(HttpRequest.BodyPublishers.ofString("{\"code\":\"\"}")));
  }
}
