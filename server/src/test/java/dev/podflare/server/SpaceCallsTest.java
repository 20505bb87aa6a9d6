package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.sandbox.SandboxId;
import dev.podflare.sandbox.SpaceId;
import java.net.http.HttpRequest;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SpaceCallsTest {

  private RunningServer server;

  @BeforeEach
  void start() throws Exception {
    server = RunningServer.withKeys();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  /** Makes a sandbox, freezes it, and says the Space's id. */
  private String frozen() throws Exception {
    return server.post("/v1/sandboxes/" + server.create() + "/freeze", "").text("space");
  }

  private HttpRequest.Builder asOther(String path) {
    return server
        .request(path)
        .setHeader("Authorization", "Bearer " + RunningServer.OTHER_KEY)
        .GET();
  }

  @Test
  void freezingEndsTheIdAndTellsTheSpace() throws Exception {
    String id = server.post("/v1/sandboxes", "{\"metadata\":{\"run\":\"7\"}}").text("id");

    RunningServer.Answer answer = server.post("/v1/sandboxes/" + id + "/freeze", "{}");

    assertThat(answer.status()).isEqualTo(200);
    String space = answer.text("space");
    assertThat(answer.body())
        .isEqualTo(
            """
            {"space":"%s","id":"%s","sandbox":"%s","held_by":null,"family":"%s","generation":0,\
            "template":"default","cpus":1,"memory_mb":1024,"disk_mb":4096,"disk_bytes":7000000,\
            "created_at":%d,"metadata":{"run":"7"}}\
            """
                .formatted(space, space, id, id, SandboxesInMemory.CREATED.toEpochMilli()));
    assertThat(server.get("/v1/sandboxes/" + id).status()).isEqualTo(404);
    assertThat(server.get("/v1/spaces/" + space).text("sandbox")).isEqualTo(id);
    assertThat(server.get("/metrics").body()).contains("podflare_freezes_total 1.0");
  }

  @Test
  void aSpaceIsResumedManyTimes() throws Exception {
    String space = frozen();
    Set<String> ids = new HashSet<>();

    for (int i = 0; i < 3; i++) {
      RunningServer.Answer answer = server.post("/v1/spaces/" + space + "/resume", "{}");
      assertThat(answer.status()).isEqualTo(200);
      assertThat(answer.body()).matches("\\{\"id\":\"sbx_[0-9a-f]{32}\",\"state\":\"ready\",.*");
      ids.add(answer.text("id"));
    }

    assertThat(ids).hasSize(3);
    assertThat(server.get("/v1/spaces/" + space).status()).isEqualTo(200);
    assertThat(server.get("/metrics").body()).contains("podflare_resumes_total 3.0");
  }

  @Test
  void theListHasTheCallersSpacesOnly() throws Exception {
    String space = frozen();

    RunningServer.Answer mine = server.get("/v1/spaces");
    RunningServer.Answer others = server.send(asOther("/v1/spaces"));

    assertThat(mine.json().required("spaces").size()).isEqualTo(1);
    assertThat(mine.json().required("spaces").get(0).required("id").asString()).isEqualTo(space);
    assertThat(others.body()).isEqualTo("{\"spaces\":[]}");
  }

  @Test
  void deleteAnswers204AlsoWhenItIsAlreadyGone() throws Exception {
    String space = frozen();

    assertThat(server.delete("/v1/spaces/" + space).status()).isEqualTo(204);
    assertThat(server.delete("/v1/spaces/" + space).status()).isEqualTo(204);
    assertThat(server.get("/v1/spaces/" + space).text("error")).isEqualTo("space not found");
    assertThat(server.post("/v1/spaces/" + space + "/resume", "{}").body())
        .isEqualTo(server.get("/v1/spaces/" + space).body());
  }

  @Test
  void aSpaceThatAPersistentSandboxSleepsInIsNotDeleted() throws Exception {
    String id = server.create();
    SpaceId space = server.sandboxes.sleep(new SandboxId(id)).id();

    RunningServer.Answer answer = server.delete("/v1/spaces/" + space);

    assertThat(server.get("/v1/spaces/" + space).text("held_by")).isEqualTo(id);
    assertThat(answer.status()).isEqualTo(409);
    assertThat(answer.text("code")).isEqualTo("space_in_use");
  }

  @Test
  void anothersSpaceIsOneThatNeverWas() throws Exception {
    String space = "/v1/spaces/" + frozen();
    String unknown = server.get("/v1/spaces/" + SpaceId.random()).body();

    assertThat(unknown).contains("\"code\":\"space_not_found\"");
    assertThat(server.send(asOther(space)).body()).isEqualTo(unknown);
    assertThat(server.send(asOther(space).DELETE()).body()).isEqualTo(unknown);
    assertThat(
            server
                .send(asOther(space + "/resume").POST(HttpRequest.BodyPublishers.noBody()))
                .body())
        .isEqualTo(unknown);
    assertThat(server.get(space).status()).isEqualTo(200);
  }

  @Test
  void whatIsClosedOrAnothersIsNotFrozen() throws Exception {
    String id = server.create();

    assertThat(
            server
                .send(
                    asOther("/v1/sandboxes/" + id + "/freeze")
                        .POST(HttpRequest.BodyPublishers.noBody()))
                .status())
        .isEqualTo(404);
    server.delete("/v1/sandboxes/" + id);
    assertThat(server.post("/v1/sandboxes/" + id + "/freeze", "{}").text("error"))
        .isEqualTo("sandbox not found");
    assertThat(server.get("/v1/spaces").body()).isEqualTo("{\"spaces\":[]}");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/v1/spaces/",
        "/v1/spaces/..",
        "/v1/spaces/%2e%2e",
        "/v1/spaces/spc_0123",
        "/v1/spaces/SPC_00000000000000000000000000000000",
        "/v1/spaces/sbx_00000000000000000000000000000000",
        "/v1/spaces/%00",
      })
  void whatIsNoIdIsNoSpace(String path) throws Exception {
    String answer = server.raw(RunningServer.head("GET", path, "Connection: close"));

    assertThat(answer).startsWith("HTTP/1.1 404 ").contains("\"error\":\"space not found\"");
  }
}
