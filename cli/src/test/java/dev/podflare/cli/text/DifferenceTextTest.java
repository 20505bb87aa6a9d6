package dev.podflare.cli.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.json.JsonMapper;

class DifferenceTextTest {

  private static String printed(String difference) {
    StringWriter text = new StringWriter();
    DifferenceText.print(JsonMapper.shared().readTree(difference), new PrintWriter(text, true));
    return text.toString();
  }

  @Test
  void files_and_variables_are_told_with_what_became_of_them() {
    assertThat(
            printed(
                """
                {"added": ["/root/new"], "removed": ["/tmp/old\\u001b"], "modified": ["/root/m"],
                 "details": {"/root/m": {"changed": ["content", "mode"], "text": "-a\\n+b\\u0007\\n",
                   "from": {"mode": "0644"}, "to": {"mode": "0755"}}},
                 "variables": {
                   "added": {"best": {"type": "float", "repr": "0.93"}},
                   "removed": {"y": {"type": "str", "repr": "'a'"}},
                   "modified": {"x": {"from": {"type": "int", "repr": "1"},
                                      "to": {"type": "T", "repr": "\\u001b[2J"}}}},
                 "truncated": true}
                """))
        .isEqualTo(
            """
            files
              + /root/new
              ~ /root/m  (content, mode 0644 → 0755)
                  -a
                  +b\\x07
              - /tmp/old\\x1b

            variables
              + best: float 0.93
              ~ x: int 1 → T \\x1b[2J
              - y: str 'a'
            There is more than is shown here; name fewer files with --path.
            """);
  }

  @Test
  void that_nothing_differs_is_said() {
    assertThat(printed("{\"added\":[],\"variables\":null,\"truncated\":false}"))
        .isEqualTo("no difference\n");
  }
}
