package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.sandbox.BuildTemplate;
import dev.podflare.sandbox.ExecEvent;
import java.net.http.HttpRequest;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TemplateCallsTest {

  private RunningServer server;

  @BeforeEach
  void start() throws Exception {
    server = RunningServer.withKeys();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  private HttpRequest.Builder asOther(String path) {
    return server.request(path).setHeader("Authorization", "Bearer " + RunningServer.OTHER_KEY);
  }

  @Test
  void aBuildStreamsItsEventsAsAnExecDoes() throws Exception {
    server.sandboxes.building =
        _ ->
            new SandboxesInMemory.Script(
                new ExecEvent.Stdout("a\n"),
                new ExecEvent.Stderr("b\n"),
                new ExecEvent.Exit(0, ExecEvent.Reason.OK, true, Duration.ofSeconds(2)));

    RunningServer.Answer answer = server.post("/v1/templates", "{\"name\":\"mine\"}");

    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.headers().firstValue("Content-Type")).contains("application/x-ndjson");
    long now = SandboxesInMemory.CREATED.toEpochMilli();
    assertThat(answer.body())
        .isEqualTo(
            """
            {"type":"stdout","data":"a\\n","seq":0,"ts":%d}
            {"type":"stderr","data":"b\\n","seq":1,"ts":%d}
            {"type":"exit","data":0,"reason":"ok","state_kept":true,"duration_ms":2000,"seq":2,"ts":%d}
            """
                .formatted(now, now, now));
    assertThat(server.get("/metrics").body()).contains("podflare_template_builds_total 1.0");
  }

  @Test
  void aRequestIsPassedOnWithItsDefaults() throws Exception {
    server.post("/v1/templates", "{\"name\":\"plain\",\"script\":\"\",\"warm\":null}");
    server.post(
        "/v1/templates",
        """
        {"name":"full","from":"plain","script":"echo","packages":["tree","g++=4:12.2.0-3"],
         "warm":"import json","timeout_seconds":60,"cpus":2,"memory_mb":2048,"disk_mb":8192}
        """);

    BuildTemplate plain = server.sandboxes.templates.get("plain");
    assertThat(plain.base()).isEqualTo("default");
    assertThat(plain.timeout()).isEqualTo(Duration.ofMinutes(30));
    assertThat(plain.script()).isEmpty();
    assertThat(plain.warm()).isEmpty();
    assertThat(plain.packages()).isEmpty();
    BuildTemplate full = server.sandboxes.templates.get("full");
    assertThat(full)
        .isEqualTo(
            new BuildTemplate(
                plain.owner(),
                "full",
                "plain",
                List.of("tree", "g++=4:12.2.0-3"),
                Optional.of("echo"),
                Optional.of("import json"),
                Duration.ofMinutes(1),
                Optional.of(2),
                Optional.of(2048),
                Optional.of(8192)));
  }

  @Test
  void theListHasTheCallersTemplatesOnly() throws Exception {
    server.post("/v1/templates", "{\"name\":\"mine\"}");
    String common =
        """
        {"name":"default","base":null,"version":1,"state":"ready","builtin":true,"stale":false,\
        "cpus":null,"memory_mb":null,"disk_mb":null,"created_at":null,"error":null,\
        "python":"3.13.5","python_packages":{"pandas":"2.2.3"}}\
        """;

    assertThat(server.get("/v1/templates").body())
        .isEqualTo(
            """
            {"templates":[%s,{"name":"mine","base":"default","version":1,"state":"ready",\
            "builtin":false,"stale":false,"cpus":1,"memory_mb":1024,"disk_mb":4096,\
            "created_at":%d,"error":null,"python":null,"python_packages":{}}]}\
            """
                .formatted(common, SandboxesInMemory.CREATED.toEpochMilli()));
    assertThat(server.send(asOther("/v1/templates").GET()).body())
        .isEqualTo("{\"templates\":[" + common + "]}");
  }

  @Test
  void anothersTemplateIsOneThatNeverWas() throws Exception {
    server.post("/v1/templates", "{\"name\":\"mine\"}");
    String unknown = server.delete("/v1/templates/no-such").body();

    assertThat(unknown).contains("\"code\":\"template_not_found\"");
    assertThat(server.send(asOther("/v1/templates/mine").DELETE()).body()).isEqualTo(unknown);
    assertThat(server.delete("/v1/templates/mine").status()).isEqualTo(204);
    assertThat(server.delete("/v1/templates/mine").status()).isEqualTo(404);
  }

  @ParameterizedTest
  @ValueSource(strings = {"A", "..", "%2e%2e", "a%2fb", "-a", "a_b", "", "%00"})
  void whatIsNoNameIsNoTemplate(String name) throws Exception {
    String answer =
        server.raw(RunningServer.head("DELETE", "/v1/templates/" + name, "Connection: close"));

    assertThat(answer).startsWith("HTTP/1.1 404 ").contains("\"error\":\"template not found\"");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{}|400|name",
        "{\"name\":7}|400|name",
        "{\"name\":\"A\"}|422|name",
        "{\"name\":\"\"}|422|name",
        "{\"name\":\"a\",\"from\":\"../b\"}|422|from",
        "{\"name\":\"a\",\"script\":[]}|400|script",
        "{\"name\":\"a\",\"packages\":\"tree\"}|400|packages",
        "{\"name\":\"a\",\"packages\":[\"-o\"]}|422|packages",
        "{\"name\":\"a\",\"packages\":[\"a b\"]}|422|packages",
        "{\"name\":\"a\",\"packages\":[\"a;b\"]}|422|packages",
        "{\"name\":\"a\",\"packages\":[\"a=$(b)\"]}|422|packages",
        "{\"name\":\"a\",\"timeout_seconds\":0}|422|timeout_seconds",
        "{\"name\":\"a\",\"timeout_seconds\":100000}|422|timeout_seconds",
        "{\"name\":\"a\",\"cpus\":0}|422|cpus",
      })
  void aFieldThatMakesNoSenseIsNamed(String body, int status, String field) throws Exception {
    RunningServer.Answer answer = server.post("/v1/templates", body);

    assertThat(answer.status()).isEqualTo(status);
    assertThat(answer.text("field")).isEqualTo(field);
    assertThat(server.sandboxes.templates).isEmpty();
  }

  @Test
  void whatEveryHostHasIsNotBuilt() throws Exception {
    RunningServer.Answer answer = server.post("/v1/templates", "{\"name\":\"default\"}");

    assertThat(answer.status()).isEqualTo(409);
    assertThat(answer.text("code")).isEqualTo("template_built_in");
  }

  @Test
  void aClientThatGoesAwayLeavesTheBuild() throws Exception {
    SandboxesInMemory.Script build = new SandboxesInMemory.Script(new ExecEvent.Stdout("on\n"));
    server.sandboxes.building = _ -> build;
    var answer =
        server.stream(
            server
                .request("/v1/templates")
                .POST(HttpRequest.BodyPublishers.ofString("{\"name\":\"mine\"}")));
    answer.body().close();

    // What it says next finds nobody.
    while (build.closed.isEmpty()) {
      build.emit(new ExecEvent.Stdout("x".repeat(1000)));
      if (build.closed.poll(20, TimeUnit.MILLISECONDS) != null) {
        return;
      }
    }
  }
}
