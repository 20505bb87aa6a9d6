package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.sandbox.Difference.Kind;
import dev.podflare.sandbox.MergeReport;
import dev.podflare.sandbox.MergeSandboxes;
import dev.podflare.sandbox.MergeSandboxes.Mode;
import dev.podflare.sandbox.MergeSandboxes.OnConflict;
import dev.podflare.sandbox.SandboxId;
import java.net.http.HttpRequest;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.json.JsonMapper;

class MergeCallsTest {

  private RunningServer server;
  private String parent;
  private String child;

  @BeforeEach
  void start() throws Exception {
    server = RunningServer.withKeys();
    parent = server.create();
    child =
        server
            .post("/v1/sandboxes/" + parent + "/fork", "{}")
            .json()
            .required("children")
            .get(0)
            .asString();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  private RunningServer.Answer merge(String body) throws Exception {
    return merge(parent, child, body);
  }

  private RunningServer.Answer merge(String into, String winner, String body) throws Exception {
    return server.post("/v1/sandboxes/" + into + "/merge_into/" + winner, body);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "{}", "{\"mode\":\"swap\",\"paths\":null}"})
  void aSwapIsTheDefaultAndEndsTheWinnersId(String body) throws Exception {
    RunningServer.Answer answer = merge(body);

    assertThat(answer.status()).isEqualTo(204);
    assertThat(answer.body()).isEmpty();
    assertThat(server.get("/v1/sandboxes/" + child).status()).isEqualTo(404);
    assertThat(server.get("/v1/sandboxes/" + parent).status()).isEqualTo(200);
    assertThat(merge(body).status()).isEqualTo(404);
    assertThat(server.get("/metrics").body()).contains("podflare_merges_total{mode=\"swap\"} 1.0");
  }

  @Test
  void aDryRunOfASwapChangesNothing() throws Exception {
    RunningServer.Answer answer = merge("{\"dry_run\":true}");

    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.json())
        .isEqualTo(
            JsonMapper.shared()
                .readTree(
                    """
                    {"mode": "swap", "applied": false, "added": [], "removed": [], "modified": [],
                     "conflicts": []}
                    """));
    assertThat(server.get("/v1/sandboxes/" + child).status()).isEqualTo(200);
    assertThat(server.get("/metrics").body()).doesNotContain("podflare_merges_total{");
  }

  @Test
  void everyFieldIsHandedOn() throws Exception {
    merge(
        """
        {"mode":"files","dry_run":true,"paths":["/srv/a","/root"],"on_conflict":"winner"}
        """);
    merge("{\"mode\":\"files\"}");

    assertThat(server.sandboxes.merges)
        .containsExactly(
            new MergeSandboxes(Mode.FILES, List.of("/srv/a", "/root"), true, OnConflict.WINNER),
            new MergeSandboxes(Mode.FILES, List.of("/root", "/tmp"), false, OnConflict.FAIL));
  }

  private static MergeReport report(boolean applied) {
    return new MergeReport(
        applied,
        new TreeMap<>(Map.of("/root/a", Kind.ADDED, "/root/m", Kind.MODIFIED, "/r", Kind.REMOVED)),
        List.of(new MergeReport.Conflict("/root/c", Kind.MODIFIED, Kind.REMOVED)));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "false | {\"mode\":\"files\",\"dry_run\":true}",
        "true | {\"mode\":\"files\",\"on_conflict\":\"winner\"}",
        "true | {\"mode\":\"files\",\"on_conflict\":\"parent\"}",
      })
  void aMergeOfFilesListsWhatItDidOrWouldDo(boolean applied, String body) throws Exception {
    server.sandboxes.merging = _ -> report(applied);

    RunningServer.Answer answer = merge(body);

    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.json())
        .isEqualTo(
            JsonMapper.shared()
                .readTree(
                    """
                    {"mode": "files", "applied": %s, "added": ["/root/a"], "removed": ["/r"],
                     "modified": ["/root/m"],
                     "conflicts": [{"path": "/root/c", "parent": "modified", "winner": "removed"}]}
                    """
                        .formatted(applied)));
  }

  @Test
  void filesThatWereChangedOnBothSidesAreListedInTheRefusal() throws Exception {
    server.sandboxes.merging = _ -> report(false);

    RunningServer.Answer answer = merge("{\"mode\":\"files\"}");

    assertThat(answer.status()).isEqualTo(409);
    assertThat(answer.text("code")).isEqualTo("merge_conflict");
    assertThat(answer.text("error")).contains("One file", "nothing was merged");
    assertThat(answer.text("hint")).contains("on_conflict");
    assertThat(answer.json().required("conflicts").toString())
        .isEqualTo("[{\"path\":\"/root/c\",\"parent\":\"modified\",\"winner\":\"removed\"}]");
    assertThat(server.get("/metrics").body()).doesNotContain("podflare_merges_total{");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "400 | bad_field | mode | {\"mode\":1}",
        "422 | bad_value | mode | {\"mode\":\"Swap\"}",
        "422 | bad_value | mode | {\"mode\":\"\"}",
        "400 | bad_field | dry_run | {\"dry_run\":\"true\"}",
        "400 | bad_field | dry_run | {\"dry_run\":0}",
        "400 | bad_field | paths | {\"mode\":\"files\",\"paths\":\"/root\"}",
        "400 | bad_field | paths[1] | {\"mode\":\"files\",\"paths\":[\"/root\",7]}",
        "400 | bad_field | paths[0] | {\"mode\":\"files\",\"paths\":[null]}",
        "422 | bad_value | paths | {\"mode\":\"files\",\"paths\":[\"root\"]}",
        "422 | bad_value | paths | {\"mode\":\"files\",\"paths\":[\"/root/../etc\"]}",
        "422 | bad_value | paths | {\"mode\":\"files\",\"paths\":[\"/a\\u0000\"]}",
        "422 | bad_value | paths | {\"paths\":[\"/root\"]}",
        "422 | bad_value | on_conflict | {\"on_conflict\":\"mine\"}",
        "400 | bad_field | on_conflict | {\"on_conflict\":[]}",
      })
  void aFieldThatMakesNoSenseIsNamedAndNothingIsMerged(
      int status, String code, String field, String body) throws Exception {
    RunningServer.Answer answer = merge(body);

    assertThat(answer.status()).isEqualTo(status);
    assertThat(answer.text("code")).isEqualTo(code);
    assertThat(answer.text("field")).isEqualTo(field);
    assertThat(answer.text("hint")).isNotEmpty();
    assertThat(server.sandboxes.merges).isEmpty();
  }

  @Test
  void aSandboxIsNotMergedIntoItself() throws Exception {
    RunningServer.Answer answer = merge(parent, parent, "{}");

    assertThat(answer.status()).isEqualTo(400);
    assertThat(answer.text("code")).isEqualTo("merge_into_itself");
    assertThat(server.get("/v1/sandboxes/" + parent).status()).isEqualTo(200);
  }

  @Test
  void aSandboxOfAnotherFamilyIsNotMerged() throws Exception {
    RunningServer.Answer answer = merge(parent, server.create(), "{}");

    assertThat(answer.status()).isEqualTo(409);
    assertThat(answer.text("code")).isEqualTo("not_a_relative");
  }

  @Test
  void whatIsClosedOrAnothersOrNoIdIsNotFound() throws Exception {
    String unknown = server.get("/v1/sandboxes/" + SandboxId.random()).body();
    String others =
        server
            .send(
                server
                    .request("/v1/sandboxes")
                    .setHeader("Authorization", "Bearer " + RunningServer.OTHER_KEY)
                    .POST(HttpRequest.BodyPublishers.noBody()))
            .text("id");

    assertThat(merge(parent, others, "{}").body()).isEqualTo(unknown);
    assertThat(merge(others, parent, "{}").body()).isEqualTo(unknown);
    assertThat(merge(others, others, "{}").body()).isEqualTo(unknown);
    assertThat(merge(parent, "sbx_1", "{}").body()).isEqualTo(unknown);
    assertThat(merge(parent, SandboxId.random().value(), "{}").body()).isEqualTo(unknown);
    server.delete("/v1/sandboxes/" + child);
    assertThat(merge("{}").text("error")).isEqualTo("sandbox not found");
    assertThat(server.sandboxes.merges).isEmpty();
  }
}
