package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.sandbox.SandboxId;
import java.net.http.HttpRequest;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

class ForkCallsTest {

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
  void aForkTellsItsChildrenAndWhatItCost() throws Exception {
    String parent = server.create();

    RunningServer.Answer answer = server.post("/v1/sandboxes/" + parent + "/fork", "{\"n\":3}");

    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.body())
        .matches(
            "\\{\"children\":\\[(\"sbx_[0-9a-f]{32}\",?){3}],\"pause_ms\":12.346,\"running_ms\":45.0}");
    String child = answer.json().required("children").get(1).asString();
    RunningServer.Answer info = server.get("/v1/sandboxes/" + child);
    assertThat(info.text("parent")).isEqualTo(parent);
    assertThat(info.text("family")).isEqualTo(parent);
    assertThat(info.json().required("generation").intValue()).isEqualTo(1);
    assertThat(server.get("/metrics").body())
        .contains(
            "podflare_forks_total 1.0",
            "podflare_fork_children_total 3.0",
            "podflare_fork_pause_seconds_bucket{le=\"0.015\"} 1");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "{}", "{\"n\":null}", "{\"n\":1}"})
  void oneChildIsMadeUnlessMoreAreAskedFor(String body) throws Exception {
    String parent = server.create();

    assertThat(server.post("/v1/sandboxes/" + parent + "/fork", body).status()).isEqualTo(200);
    assertThat(server.sandboxes.forks).containsExactly(1);
  }

  @Test
  void aHundredChildrenAreTheMost() throws Exception {
    String parent = server.create();

    assertThat(server.post("/v1/sandboxes/" + parent + "/fork", "{\"n\":100}").status())
        .isEqualTo(200);
    assertThat(server.sandboxes.alive()).isEqualTo(101);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "422 | bad_value | {\"n\":0}",
        "422 | bad_value | {\"n\":-1}",
        "422 | bad_value | {\"n\":101}",
        "422 | bad_value | {\"n\":99999999999999999999}",
        "400 | bad_field | {\"n\":\"5\"}",
        "400 | bad_field | {\"n\":2.5}",
        "400 | bad_field | {\"n\":1.0}",
        "400 | bad_field | {\"n\":true}",
        "400 | bad_field | {\"n\":[1]}",
        "400 | bad_field | {\"n\":{}}",
      })
  void aNumberThatMakesNoSenseIsRefusedAndNothingIsForked(int status, String code, String body)
      throws Exception {
    String parent = server.create();

    RunningServer.Answer answer = server.post("/v1/sandboxes/" + parent + "/fork", body);

    assertThat(answer.status()).isEqualTo(status);
    assertThat(answer.text("code")).isEqualTo(code);
    assertThat(answer.text("field")).isEqualTo("n");
    assertThat(answer.text("error")).contains("field n ");
    assertThat(answer.text("hint")).contains("whole number");
    assertThat(server.sandboxes.forks).isEmpty();
  }

  @Test
  void aFamilyIsTheSameSeenFromAnyOfItsMembers() throws Exception {
    String parent = server.create();
    server.create();
    String child =
        server
            .post("/v1/sandboxes/" + parent + "/fork", "{}")
            .json()
            .required("children")
            .get(0)
            .asString();
    server.delete("/v1/sandboxes/" + child);

    RunningServer.Answer seenFromParent = server.get("/v1/sandboxes/" + parent + "/family");
    RunningServer.Answer seenFromChild = server.get("/v1/sandboxes/" + child + "/family");

    assertThat(seenFromParent.status()).isEqualTo(200);
    assertThat(seenFromChild.body()).isEqualTo(seenFromParent.body());
    assertThat(seenFromParent.text("family")).isEqualTo(parent);
    JsonNode members = seenFromParent.json().required("sandboxes");
    assertThat(members.size()).isEqualTo(2);
    assertThat(members.get(0).toString())
        .isEqualTo(
            "{\"id\":\"%s\",\"parent\":null,\"generation\":0,\"created_at\":%d,\"closed_at\":null,\"end\":null,\"metadata\":{}}"
                .formatted(parent, SandboxesInMemory.CREATED.toEpochMilli()));
    assertThat(members.get(1).required("parent").asString()).isEqualTo(parent);
    assertThat(members.get(1).required("generation").intValue()).isEqualTo(1);
    assertThat(members.get(1).required("end").asString()).isEqualTo("closed");
    assertThat(members.get(1).required("closed_at").isNumber()).isTrue();
  }

  @Test
  void anothersSandboxCanNeitherBeForkedNorHasItAFamily() throws Exception {
    String id = server.create();
    String unknown = server.get("/v1/sandboxes/" + SandboxId.random()).body();
    HttpRequest.Builder family =
        server
            .request("/v1/sandboxes/" + id + "/family")
            .setHeader("Authorization", "Bearer " + RunningServer.OTHER_KEY);
    HttpRequest.Builder fork =
        server
            .request("/v1/sandboxes/" + id + "/fork")
            .setHeader("Authorization", "Bearer " + RunningServer.OTHER_KEY)
            .POST(HttpRequest.BodyPublishers.ofString("{\"n\":0}"));

    assertThat(server.send(family).body()).isEqualTo(unknown);
    assertThat(server.send(fork).body()).isEqualTo(unknown);
    assertThat(server.post("/v1/sandboxes/sbx_12/fork", "{}").body()).isEqualTo(unknown);
    assertThat(server.sandboxes.forks).isEmpty();
  }

  @Test
  void aClosedSandboxCanNotBeForked() throws Exception {
    String id = server.create();
    server.delete("/v1/sandboxes/" + id);

    RunningServer.Answer answer = server.post("/v1/sandboxes/" + id + "/fork", "{}");

    assertThat(answer.status()).isEqualTo(404);
    assertThat(answer.text("error")).isEqualTo("sandbox not found");
  }
}
