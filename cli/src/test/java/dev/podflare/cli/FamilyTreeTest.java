package dev.podflare.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.cli.text.Style;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class FamilyTreeTest {

  private static JsonNode json(String text) {
    return JsonMapper.shared().readTree(text);
  }

  private static String id(String kind, int number) {
    return kind + "_" + String.valueOf(number).repeat(32);
  }

  private static String member(int number, int parent, int generation, String end) {
    return """
    {"id": "%s", "parent": %s, "generation": %d, "created_at": %d, "closed_at": %s, "end": %s}
    """
        .formatted(
            id("sbx", number),
            parent == 0 ? "null" : "\"" + id("sbx", parent) + "\"",
            generation,
            number * 1000,
            end.isEmpty() ? "null" : "99000",
            end.isEmpty() ? "null" : "\"" + end + "\"");
  }

  @Test
  void a_family_is_drawn_with_what_each_member_does_and_how_it_ended() {
    JsonNode family =
        json(
            "{\"sandboxes\": [%s]}"
                .formatted(
                    String.join(
                        ",",
                        member(1, 0, 0, ""),
                        member(2, 1, 1, "merged"),
                        member(3, 1, 1, "idle_timeout"),
                        member(4, 2, 2, ""),
                        member(5, 2, 2, "frozen"))));
    JsonNode other = json("{\"sandboxes\": [%s]}".formatted(member(7, 0, 0, "")));
    JsonNode open =
        json(
            "[{\"id\": \"%s\", \"state\": \"ready\"}, {\"id\": \"%s\", \"state\": \"running\"}]"
                .formatted(id("sbx", 1), id("sbx", 4)));
    JsonNode space =
        json("{\"id\": \"%s\", \"sandbox\": \"%s\"}".formatted(id("spc", 8), id("sbx", 5)));
    StringWriter drawn = new StringWriter();

    FamilyTree.of(
            List.of(family, other),
            open.valueStream().toList(),
            List.of(space),
            Instant.ofEpochSecond(100))
        .printTo(new PrintWriter(drawn, true), Style.plain());

    assertThat(drawn.toString())
        .isEqualTo(
            """
            sbx_111111        gen 0  ready         99 s
            ├─ sbx_222222     gen 1  ✔ merged      lived 97 s
            │  ├─ sbx_444444  gen 2  running       96 s
            │  └─ sbx_555555  gen 2  frozen        lived 94 s  ❄ spc_888888
            └─ sbx_333333     gen 1  idle timeout  lived 96 s
            sbx_777777        gen 0  open          93 s
            """);
  }
}
