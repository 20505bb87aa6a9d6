package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.sandbox.CompareSandboxes;
import dev.podflare.sandbox.Difference;
import dev.podflare.sandbox.Difference.Aspect;
import dev.podflare.sandbox.Difference.FileChange;
import dev.podflare.sandbox.Difference.FileState;
import dev.podflare.sandbox.Difference.Kind;
import dev.podflare.sandbox.Difference.Variable;
import dev.podflare.sandbox.Difference.VariableChange;
import dev.podflare.sandbox.SandboxId;
import java.net.http.HttpRequest;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class DiffCallsTest {

  private RunningServer server;

  @BeforeEach
  void start() throws Exception {
    server = RunningServer.withKeys();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  private RunningServer.Answer diff(String query) throws Exception {
    return server.get("/v1/sandboxes/" + server.create() + "/diff/" + server.create() + query);
  }

  @Test
  void rootAndTmpAndTheVariablesAreComparedUnlessAskedOtherwise() throws Exception {
    RunningServer.Answer answer = diff("");

    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.body())
        .isEqualTo(
            "{\"added\":[],\"removed\":[],\"modified\":[],\"details\":{},\"variables\":null,\"truncated\":false}");
    assertThat(server.sandboxes.comparisons)
        .containsExactly(new CompareSandboxes(List.of("/root", "/tmp"), false, true));
  }

  @Test
  void everyParameterIsHandedOn() throws Exception {
    diff("?path=/root/a%20b&path=/srv&text=true&variables=false");

    assertThat(server.sandboxes.comparisons)
        .containsExactly(new CompareSandboxes(List.of("/root/a b", "/srv"), true, false));
  }

  @Test
  void aTildeIsTheHomeDirectory() throws Exception {
    diff("?path=~&path=~/deep&path=/root/~&variables=false");

    assertThat(server.sandboxes.comparisons)
        .containsExactly(
            new CompareSandboxes(List.of("/root", "/root/deep", "/root/~"), false, false));
    assertThat(diff("?path=~somebody").status()).isEqualTo(422);
  }

  @Test
  void filesAndVariablesAreToldWithWhatBecameOfThem() throws Exception {
    Instant at = Instant.ofEpochMilli(1000);
    FileState old = new FileState("file", 3, 0644, at, Optional.empty());
    FileState link = new FileState("symlink", 4, 0777, at, Optional.of("/etc"));
    server.sandboxes.comparing =
        _ ->
            new Difference(
                new TreeMap<>(
                    Map.of(
                        "/root/m",
                        new FileChange(
                            Kind.MODIFIED,
                            Set.of(Aspect.TARGET, Aspect.TYPE),
                            Optional.of(old),
                            Optional.of(link),
                            Optional.of("-a\n+b\n")),
                        "/root/half\ud800",
                        new FileChange(
                            Kind.ADDED,
                            Set.of(),
                            Optional.empty(),
                            Optional.of(old),
                            Optional.empty()),
                        "/tmp/r",
                        new FileChange(
                            Kind.REMOVED,
                            Set.of(),
                            Optional.of(old),
                            Optional.empty(),
                            Optional.empty()))),
                Optional.of(
                    new TreeMap<>(
                        Map.of(
                            "x",
                            new VariableChange(
                                Kind.MODIFIED,
                                Optional.of(new Variable("int", "1")),
                                Optional.of(new Variable("str", "'\udc00'"))),
                            "new",
                            new VariableChange(
                                Kind.ADDED,
                                Optional.empty(),
                                Optional.of(new Variable("list", "[1]"))),
                            "old",
                            new VariableChange(
                                Kind.REMOVED,
                                Optional.of(new Variable("dict", "{}")),
                                Optional.empty())))),
                true);

    JsonNode told = diff("").json();

    assertThat(told)
        .isEqualTo(
            JsonMapper.shared()
                .readTree(
                    """
                    {"added": ["/root/half\\ufffd"], "removed": ["/tmp/r"], "modified": ["/root/m"],
                     "details": {
                       "/root/half\\ufffd": {"changed": [], "from": null, "text": null,
                         "to": {"type": "file", "size": 3, "mode": "0644", "mtime": 1000, "target": null}},
                       "/root/m": {"changed": ["type", "target"], "text": "-a\\n+b\\n",
                         "from": {"type": "file", "size": 3, "mode": "0644", "mtime": 1000, "target": null},
                         "to": {"type": "symlink", "size": 4, "mode": "0777", "mtime": 1000, "target": "/etc"}},
                       "/tmp/r": {"changed": [], "to": null, "text": null,
                         "from": {"type": "file", "size": 3, "mode": "0644", "mtime": 1000, "target": null}}},
                     "variables": {
                       "added": {"new": {"type": "list", "repr": "[1]"}},
                       "removed": {"old": {"type": "dict", "repr": "{}"}},
                       "modified": {"x": {"from": {"type": "int", "repr": "1"},
                                          "to": {"type": "str", "repr": "'\\ufffd'"}}}},
                     "truncated": true}
                    """));
  }

  @ParameterizedTest
  @CsvSource({
    "path=root, 422, bad_value, path",
    "path=, 422, bad_value, path",
    "path=/root&path=~x, 422, bad_value, path",
    "path=/root/../etc, 422, bad_value, path",
    "path=/root/.., 422, bad_value, path",
    "path=/a%00b, 422, bad_value, path",
    "text=1, 400, bad_field, text",
    "text=true&text=true, 400, bad_field, text",
    "variables=no, 400, bad_field, variables",
    "path=%ff%zz, 400, bad_query, ''",
  })
  void aParameterThatMakesNoSenseIsNamedAndNothingIsCompared(
      String query, int status, String code, String field) throws Exception {
    String path = "/v1/sandboxes/" + server.create() + "/diff/" + server.create() + "?" + query;

    String answer = server.raw(RunningServer.head("GET", path, "Connection: close"));

    assertThat(answer)
        .startsWith("HTTP/1.1 " + status + " ")
        .contains("\"code\":\"" + code + "\"", "\"hint\":\"");
    if (!field.isEmpty()) {
      assertThat(answer).contains("\"field\":\"" + field + "\"");
    }
    assertThat(server.sandboxes.comparisons).isEmpty();
  }

  @Test
  void sixtyFourPathsAreTheMost() throws Exception {
    assertThat(diff("?path=/a" + "&path=/a".repeat(63)).status()).isEqualTo(200);
    assertThat(diff("?path=/a" + "&path=/a".repeat(64)).text("error")).contains("more than 64");
    assertThat(diff("?path=/" + "a".repeat(4096)).status()).isEqualTo(422);
  }

  @Test
  void bothSandboxesMustBeTheCallersOwn() throws Exception {
    String mine = server.create();
    String others =
        server
            .send(
                server
                    .request("/v1/sandboxes")
                    .setHeader("Authorization", "Bearer " + RunningServer.OTHER_KEY)
                    .POST(HttpRequest.BodyPublishers.noBody()))
            .text("id");
    String unknown = server.get("/v1/sandboxes/" + SandboxId.random()).body();
    String sandboxes = "/v1/sandboxes/";

    assertThat(server.get(sandboxes + mine + "/diff/" + others).body()).isEqualTo(unknown);
    assertThat(server.get(sandboxes + others + "/diff/" + mine).body()).isEqualTo(unknown);
    assertThat(server.get(sandboxes + mine + "/diff/" + SandboxId.random()).body())
        .isEqualTo(unknown);
    assertThat(server.get(sandboxes + mine + "/diff/sbx_1").body()).isEqualTo(unknown);
    assertThat(server.sandboxes.comparisons).isEmpty();
  }

  @Test
  void aClosedSandboxCanNotBeCompared() throws Exception {
    String open = server.create();
    String closed = server.create();
    server.delete("/v1/sandboxes/" + closed);

    assertThat(server.get("/v1/sandboxes/" + open + "/diff/" + closed).status()).isEqualTo(404);
    assertThat(server.get("/v1/sandboxes/" + closed + "/diff/" + open).status()).isEqualTo(404);
  }
}
