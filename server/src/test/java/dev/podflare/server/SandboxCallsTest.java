package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.engine.Egress;
import dev.podflare.sandbox.CreateSandbox;
import dev.podflare.sandbox.SandboxId;
import dev.podflare.sandbox.SandboxInfo;
import dev.podflare.sandbox.SandboxQuery;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SandboxCallsTest {

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
  void createAnswersIdAndStateFirst() throws Exception {
    RunningServer.Answer answer = server.post("/v1/sandboxes", "{}");

    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.body()).matches("\\{\"id\":\"sbx_[0-9a-f]{32}\",\"state\":\"ready\",.*");
    assertThat(answer.json().required("egress").booleanValue()).isTrue();
    assertThat(answer.json().required("idle_timeout_seconds").intValue()).isEqualTo(300);
    assertThat(answer.json().required("max_lifetime_seconds").isNull()).isTrue();
    assertThat(answer.json().required("persistent").booleanValue()).isFalse();
    assertThat(answer.json().required("parent").isNull()).isTrue();
    assertThat(answer.json().required("generation").intValue()).isZero();
    assertThat(answer.text("family")).isEqualTo(answer.text("id"));
    assertThat(answer.text("isolation")).isEqualTo("emulated");
  }

  @Test
  void createNeedsNoBodyAndNoContentType() throws Exception {
    assertThat(server.raw(RunningServer.head("POST", "/v1/sandboxes", "Connection: close")))
        .startsWith("HTTP/1.1 200 ");
    assertThat(
            server.raw(
                RunningServer.head(
                        "POST", "/v1/sandboxes", "Content-Length: 2", "Connection: close")
                    + "{}"))
        .startsWith("HTTP/1.1 200 ");
  }

  @Test
  void createHandsOnEveryField() throws Exception {
    server.post(
        "/v1/sandboxes",
        """
        {"template":"python-datasci","egress":false,"persistent":true,"idle_timeout_seconds":1.5,
         "max_lifetime_seconds":60,"cpus":2,"memory_mb":2048,"disk_mb":512,"env":{"A_1":"ä=b"},
         "metadata":{"run":"7"}}
        """);

    assertThat(server.sandboxes.created)
        .containsExactly(
            new CreateSandbox(
                ApiKeys.of(java.util.List.of(RunningServer.KEY))
                    .ownerOf(RunningServer.KEY)
                    .orElseThrow(),
                "python-datasci",
                new Egress.Nothing(),
                true,
                Optional.of(Duration.ofMillis(1500)),
                Optional.of(Duration.ofSeconds(60)),
                Optional.of(2),
                Optional.of(2048),
                Optional.of(512),
                Map.of("A_1", "ä=b"),
                Map.of("run", "7")));
  }

  @Test
  void nullIsAsGoodAsAbsent() throws Exception {
    RunningServer.Answer answer =
        server.post(
            "/v1/sandboxes",
            """
            {"template":null,"egress":null,"persistent":null,"idle_timeout_seconds":null,
             "cpus":null,"env":null,"metadata":null}
            """);

    assertThat(answer.status()).isEqualTo(200);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "400 | bad_field | template | {\"template\":7}",
        "400 | bad_field | egress | {\"egress\":\"yes\"}",
        "400 | bad_field | idle_timeout_seconds | {\"idle_timeout_seconds\":\"60\"}",
        "400 | bad_field | cpus | {\"cpus\":1.5}",
        "400 | bad_field | cpus | {\"cpus\":[1]}",
        "400 | bad_field | env | {\"env\":[\"A=b\"]}",
        "400 | bad_field | env.A | {\"env\":{\"A\":1}}",
        "400 | bad_field | env.A | {\"env\":{\"A\":null}}",
        "400 | bad_field | metadata | {\"metadata\":\"x\"}",
        "400 | bad_field | persistent | {\"persistent\":1}",
        "400 | bad_field | template | {\"template\":\"\\ud800\"}",
        "422 | bad_value | template | {\"template\":\"../etc\"}",
        "422 | bad_value | template | {\"template\":\"\"}",
        "422 | bad_value | idle_timeout_seconds | {\"idle_timeout_seconds\":0}",
        "422 | bad_value | idle_timeout_seconds | {\"idle_timeout_seconds\":-1}",
        "422 | bad_value | idle_timeout_seconds | {\"idle_timeout_seconds\":604801}",
        "422 | bad_value | idle_timeout_seconds | {\"idle_timeout_seconds\":1e400}",
        "422 | bad_value | idle_timeout_seconds | {\"idle_timeout_seconds\":%s}",
        "422 | bad_value | max_lifetime_seconds | {\"max_lifetime_seconds\":2592001}",
        "422 | bad_value | cpus | {\"cpus\":0}",
        "422 | bad_value | memory_mb | {\"memory_mb\":99999999999999999999}",
        "422 | bad_value | disk_mb | {\"disk_mb\":-5}",
        "422 | bad_value | env | {\"env\":{\"1A\":\"b\"}}",
        "422 | bad_value | env | {\"env\":{\"A=B\":\"b\"}}",
        "422 | bad_value | env.A | {\"env\":{\"A\":\"b\\u0000\"}}",
        "422 | bad_value | metadata | {\"metadata\":{\"\":\"b\"}}",
        "400 | bad_field | persistent | {\"persistent\":\"true\"}",
        "422 | egress_allow_list_unsupported | egress | {\"egress\":{\"allow\":[\"a.example\"]}}",
      })
  void aFieldThatMakesNoSenseIsNamedAndNothingIsMade(
      int status, String code, String field, String body) throws Exception {
    RunningServer.Answer answer = server.post("/v1/sandboxes", body.replace("%s", "9".repeat(400)));

    assertThat(answer.status()).isEqualTo(status);
    assertThat(answer.text("code")).isEqualTo(code);
    assertThat(answer.text("field")).isEqualTo(field);
    assertThat(answer.text("error") + answer.text("hint")).containsAnyOf(field, "allow list");
    assertThat(server.sandboxes.created).isEmpty();
  }

  @Test
  void tooMuchEnvironmentAndMetadataAreRefused() throws Exception {
    String value = "v".repeat(33 * 1024);
    assertThat(server.post("/v1/sandboxes", "{\"env\":{\"A\":\"" + value + "\"}}").status())
        .isEqualTo(422);
    StringBuilder many = new StringBuilder("{\"env\":{\"A\":\"\"");
    for (int i = 0; i < 256; i++) {
      many.append(",\"A").append(i).append("\":\"\"");
    }
    assertThat(server.post("/v1/sandboxes", many + "}}").status()).isEqualTo(422);
    assertThat(
            server
                .post("/v1/sandboxes", "{\"metadata\":{\"k\":\"" + "v".repeat(1025) + "\"}}")
                .status())
        .isEqualTo(422);
    assertThat(server.sandboxes.created).isEmpty();
  }

  @Test
  void aSandboxIsFoundByItsOwnerOnly() throws Exception {
    String id = server.create();
    var asOther =
        server
            .request("/v1/sandboxes/" + id)
            .setHeader("Authorization", "Bearer " + RunningServer.OTHER_KEY);

    RunningServer.Answer mine = server.get("/v1/sandboxes/" + id);
    RunningServer.Answer others = server.send(asOther.copy().GET());
    RunningServer.Answer unknown = server.get("/v1/sandboxes/" + SandboxId.random());

    assertThat(mine.text("id")).isEqualTo(id);
    assertThat(others.status()).isEqualTo(404);
    assertThat(others.text("error")).isEqualTo("sandbox not found");
    assertThat(others.body()).isEqualTo(unknown.body());
    assertThat(server.send(asOther.copy().DELETE()).body()).isEqualTo(unknown.body());
    assertThat(server.sandboxes.alive()).isEqualTo(1);
  }

  @Test
  void deleteAnswers204AlsoWhenItIsAlreadyGone() throws Exception {
    String id = server.create();

    assertThat(server.delete("/v1/sandboxes/" + id).status()).isEqualTo(204);
    assertThat(server.delete("/v1/sandboxes/" + id).status()).isEqualTo(204);
    assertThat(server.delete("/v1/sandboxes/" + SandboxId.random()).status()).isEqualTo(404);
    assertThat(server.get("/v1/sandboxes/" + id).text("error")).isEqualTo("sandbox not found");
    // Its owner hears why; to all others it is as if it had never been.
    RunningServer.Answer gone = server.post("/v1/sandboxes/" + id + "/exec", "{\"code\":\"1\"}");
    assertThat(gone.status()).isEqualTo(404);
    assertThat(gone.text("hint")).contains("It was closed");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/v1/sandboxes/",
        "/v1/sandboxes/..",
        "/v1/sandboxes/%2e%2e",
        "/v1/sandboxes/sbx_0123",
        "/v1/sandboxes/SBX_00000000000000000000000000000000",
        "/v1/sandboxes/sbx_0000000000000000000000000000000%30",
        "/v1/sandboxes/%00",
        "/v1/sandboxes/\u00e4",
        "/v1/sandboxes//files",
        "/v1/sandboxes/..%2f..%2fetc%2fpasswd",
        "/v1/sandboxes/;",
      })
  void whatIsNoIdIsNoSandbox(String path) throws Exception {
    String answer = server.raw(RunningServer.head("GET", path, "Connection: close"));

    assertThat(answer).startsWith("HTTP/1.1 404 ").contains("\"error\":\"sandbox not found\"");
  }

  @Test
  void anIdOfTenKilobytesIsNoSandbox() throws Exception {
    assertThat(server.get("/v1/sandboxes/" + "a".repeat(10_240)).text("error"))
        .isEqualTo("sandbox not found");
  }

  @Test
  void aPathThatClimbsLeadsNowhere() throws Exception {
    String answer =
        server.raw(RunningServer.head("GET", "/v1/sandboxes/../healthz", "Connection: close"));

    assertThat(answer).startsWith("HTTP/1.1 404 ").contains("\"code\":\"not_found\"");
  }

  @Test
  void listHandsOnItsFiltersAndAnswersACursor() throws Exception {
    String id = server.create();
    String after = SandboxId.random().value();

    RunningServer.Answer answer =
        server.get(
            "/v1/sandboxes?limit=7&cursor="
                + after
                + "&template=default&state=running&metadata.run=a+b%26c&unknown=1");

    assertThat(answer.json().required("sandboxes").get(0).required("id").asString()).isEqualTo(id);
    assertThat(answer.text("next_cursor")).isEqualTo(id);
    SandboxQuery query = server.sandboxes.queries.getFirst();
    assertThat(query.template()).contains("default");
    assertThat(query.state()).contains(SandboxInfo.State.RUNNING);
    assertThat(query.metadata()).containsExactly(Map.entry("run", "a b&c"));
    assertThat(query.after().map(SandboxId::value)).contains(after);
    assertThat(query.limit()).isEqualTo(7);
  }

  @ParameterizedTest
  @CsvSource({
    "limit=0, 422",
    "limit=1001, 422",
    "limit=ten, 400",
    "limit=1&limit=2, 400",
    "state=closed, 422",
    "cursor=x, 400",
    "template=%zz, 400",
  })
  void aListParameterThatMakesNoSenseIsRefused(String query, int status) throws Exception {
    String answer =
        server.raw(RunningServer.head("GET", "/v1/sandboxes?" + query, "Connection: close"));

    assertThat(answer).startsWith("HTTP/1.1 " + status + " ").contains("\"error\":");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "/v1/sandboxes | templte | {\"templte\":\"x\"}",
        "/v1/sandboxes | idleTimeoutSeconds | {\"idleTimeoutSeconds\":60}",
        "/v1/sandboxes/ID/fork | count | {\"count\":2}",
        "/v1/sandboxes/ID/merge_into/OTHER | dryrun | {\"dryrun\":true}",
        "/v1/templates | pakages | {\"name\":\"a\",\"pakages\":[\"jq\"]}",
      })
  void noCallPassesOverAFieldThatItDoesNotHave(String path, String field, String body)
      throws Exception {
    String id = server.create();
    String other = server.create();

    RunningServer.Answer answer = server.post(path.replace("ID", id).replace("OTHER", other), body);

    assertThat(answer.status()).isEqualTo(400);
    assertThat(answer.text("code")).isEqualTo("bad_field");
    assertThat(answer.text("field")).isEqualTo(field);
    assertThat(server.sandboxes.created).hasSize(2);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "{}",
        "{\"template\":\"default\"}",
        "{\"template\":\"default\",\"egress\":true,\"persistent\":false,"
            + "\"idle_timeout_seconds\":300,\"max_lifetime_seconds\":3600,\"region\":\"us-west\"}",
        "{\"template\":null,\"region\":null}",
      })
  void bodiesOfTheHostedServicesClientsAreTaken(String body) throws Exception {
    assertThat(server.post("/v1/sandboxes", body).status()).isEqualTo(200);
  }

  @Test
  void aListOfHostsAsEgressIsToldItsShape() throws Exception {
    RunningServer.Answer answer = server.post("/v1/sandboxes", "{\"egress\":[\"pypi.example\"]}");

    assertThat(answer.status()).isEqualTo(400);
    assertThat(answer.text("error")).contains("is an array", "{\"allow\": [");
  }
}
