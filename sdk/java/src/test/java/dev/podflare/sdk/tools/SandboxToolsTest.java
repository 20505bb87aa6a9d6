package dev.podflare.sdk.tools;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the tools do with a model's input; e2e has them on real sandboxes. */
class SandboxToolsTest {
  private FakeHost host;
  private SandboxTools tools;

  @BeforeEach
  void start() throws Exception {
    host = new FakeHost();
    tools = new SandboxTools(host.sandbox());
  }

  @AfterEach
  void stop() {
    host.close();
  }

  @Test
  void code_runs_in_its_language_and_within_the_limit_of_time() {
    SandboxTools patient =
        new SandboxTools(host.sandbox(), ToolLimits.usual().withTimeout(Duration.ofSeconds(7)));
    assertThat(patient.answer("run_python", Map.of("code", "6 * 7")))
        .isEqualTo(ToolAnswer.told("42", false));
    patient.answer("run_bash", Map.of("command", "ls"));
    assertThat(host.execs)
        .containsExactly(
            "{\"code\":\"6 * 7\",\"language\":\"python\",\"timeout_seconds\":7.0}",
            "{\"code\":\"ls\",\"language\":\"bash\",\"timeout_seconds\":7.0}");
  }

  @Test
  void code_execution_is_answered_exactly_as_the_contract_says() {
    ToolAnswer exact = ToolAnswer.told("stdout:\n42\n\nstderr:\n\nexit_code: 0", false);
    for (Map.Entry<String, String> each :
        Map.of("code_execution", "code", "bash_code_execution", "command").entrySet()) {
      Map<String, Object> input = Map.of(each.getValue(), "ls");
      assertThat(tools.answer(each.getKey(), input)).isEqualTo(exact);
      assertThat(tools.answerCodeExecution(each.getKey(), input)).isEqualTo(exact);
    }
  }

  @Test
  void the_editor_creates_views_replaces_and_inserts() {
    edit("command", "create", "path", "/root/a", "file_text", "eins\nzwei ü\n");
    assertThat(edit("command", "view", "path", "/root/a"))
        .isEqualTo("     1\teins\n     2\tzwei ü");
    assertThat(
            edit("command", "str_replace", "path", "/root/a", "old_str", "eins", "new_str", "one"))
        .isEqualTo("/root/a has been changed:\n     1\tone\n     2\tzwei ü\n     3\t");
    edit("command", "insert", "path", "/root/a", "insert_line", 1L, "insert_text", "mid\n");
    edit("command", "insert", "path", "/root/a", "insert_line", 0, "new_str", "top");
    assertThat(content("/root/a")).isEqualTo("top\none\nmid\nzwei ü\n");
    edit("command", "str_replace", "path", "/root/a", "old_str", "mid\n");
    assertThat(content("/root/a")).isEqualTo("top\none\nzwei ü\n");
    assertThat(edit("command", "view", "path", "/root/a", "view_range", List.of(2, 90)))
        .isEqualTo("     2\tone\n     3\tzwei ü");
  }

  @Test
  void the_providers_editor_shows_a_file_as_it_is() {
    for (String text : List.of("a\nb\n", "a\nb", "\n", "a\n\n")) {
      host.files.put("f", text.getBytes(StandardCharsets.UTF_8));
      assertThat(plainView("f", 1, -1)).isEqualTo(text);
    }
    host.files.put("f", "a\nb\nc".getBytes(StandardCharsets.UTF_8));
    assertThat(plainView("f", 2, 2)).isEqualTo("b\n");
    assertThat(plainView("f", 2, -1)).isEqualTo("b\nc");
    host.files.put("f", new byte[0]);
    assertThat(plainView("f", 1, -1)).isEqualTo("(f is empty)");
  }

  @Test
  void what_the_editor_can_not_do_is_an_error_and_changes_nothing() {
    host.files.put("a", "x x".getBytes(StandardCharsets.UTF_8));
    List<Map<String, Object>> inputs =
        List.of(
            Map.of("command", "view", "path", "missing"),
            Map.of("command", "view", "path", "a", "view_range", "all"),
            Map.of("command", "view", "path", "a", "view_range", List.of(2, 1)),
            Map.of("command", "view", "path", "a", "view_range", List.of(1.5, 2)),
            Map.of("command", "view", "path", "a", "view_range", Arrays.asList(1, null)),
            Map.of("command", "str_replace", "path", "a", "old_str", "", "new_str", "z"),
            Map.of("command", "str_replace", "path", "a", "old_str", "x x", "new_str", 7),
            Map.of("command", "create", "path", "a"),
            Map.of("command", "create", "path", "", "file_text", "x"),
            Map.of("command", "insert", "path", "a", "insert_line", -1, "insert_text", "y"),
            Map.of("command", "insert", "path", "a", "insert_line", true, "insert_text", "y"),
            Map.of("path", "a"));
    for (Map<String, Object> input : inputs) {
      ToolAnswer answer = tools.answer("str_replace_based_edit_tool", input);
      assertThat(answer.isError()).as("%s", input).isTrue();
      assertThat(answer.text()).startsWith("error: ");
    }
    assertThat(host.files.keySet()).containsExactly("a");
    assertThat(content("a")).isEqualTo("x x");
  }

  @Test
  void a_missing_file_is_told_with_its_path() {
    assertThat(tools.answer("text_editor_code_execution", Map.of("command", "view", "path", "b")))
        .isEqualTo(
            ToolAnswer.told(
                "error: b: there is no such file. " + Advice.BY_CODE.get("file_not_found"), true));
  }

  @Test
  void a_sandbox_that_fails_is_told_by_the_code_of_its_error_else_by_its_kind() {
    host.refuseCode(404, "sandbox_not_found", "sandbox not found");
    assertThat(tools.answer("run_python", Map.of("code", "1")).text())
        .startsWith("error: sandbox not found. It was closed, or idle for too long");
    host.refuseCode(500, "strange", "It broke.");
    assertThat(tools.answer("bash", Map.of("command", "ls")))
        .isEqualTo(
            ToolAnswer.told(
                "error: It broke. Try once more; if it fails again, go on without it and say so.",
                true));
  }

  @Test
  void wrong_input_never_reaches_the_sandbox() {
    Map<String, Object> nothing = new HashMap<>();
    nothing.put("code", null);
    nothing.put("command", 7);
    for (String name : SandboxTools.names()) {
      assertThat(tools.answer(name, nothing).text()).as(name).startsWith("error: the input needs");
    }
    assertThat(host.execs).isEmpty();
  }

  @Test
  void an_unknown_tool_is_told_which_there_are() {
    assertThat(SandboxTools.knows("bash")).isTrue();
    assertThat(SandboxTools.knows("get_weather")).isFalse();
    assertThat(tools.answer("get_weather", Map.of()).text())
        .isEqualTo(
            "error: unknown tool 'get_weather'. The tools here are run_python, run_bash, bash,"
                + " str_replace_based_edit_tool, code_execution, bash_code_execution,"
                + " text_editor_code_execution");
    assertThat(tools.answerCodeExecution("bash", Map.of()).text())
        .endsWith(
            "The tools here are code_execution, bash_code_execution, text_editor_code_execution");
  }

  @Test
  void an_answer_of_ones_own_is_never_empty_and_never_too_long() {
    ToolLimits few = ToolLimits.usual().withCharacters(10);
    assertThat(ToolAnswer.of("").within(few)).isEqualTo(ToolAnswer.of("(nothing)"));
    assertThat(ToolAnswer.of("a\ud800").within(few)).isEqualTo(ToolAnswer.of("a\ufffd"));
    ToolAnswer cut = ToolAnswer.failed("x".repeat(99)).within(few);
    assertThat(cut.text()).startsWith("xxxxxx\n[… 89 characters").endsWith("\nxxxx");
    assertThat(cut.isError()).isTrue();
  }

  private String edit(Object... input) {
    Map<String, Object> fields = new HashMap<>();
    for (int i = 0; i < input.length; i += 2) {
      fields.put((String) input[i], input[i + 1]);
    }
    ToolAnswer answer = tools.answer("str_replace_based_edit_tool", fields);
    assertThat(answer.isError()).as(answer.text()).isFalse();
    return answer.text();
  }

  private String plainView(String path, int first, int last) {
    Map<String, Object> input =
        Map.of("command", "view", "path", path, "view_range", List.of(first, last));
    return tools.answer("text_editor_code_execution", input).text();
  }

  private String content(String path) {
    return new String(host.files.get(path), StandardCharsets.UTF_8);
  }
}
