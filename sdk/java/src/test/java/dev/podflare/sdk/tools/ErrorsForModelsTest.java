package dev.podflare.sdk.tools;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.sdk.ExitReason;
import dev.podflare.sdk.PodflareException;
import dev.podflare.sdk.RequestTimeoutException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** docs/errors-for-models.md is what a model is told, word for word, also from Java. */
class ErrorsForModelsTest {
  private static final Path PAGE = Path.of("../../docs/errors-for-models.md");
  private static final Pattern ROW = Pattern.compile("^\\| (.+?) \\| (.+) \\|$", Pattern.MULTILINE);
  private static final String EDITOR = "str_replace_based_edit_tool";

  @Test
  void every_way_that_code_can_end_is_on_the_page() throws Exception {
    Map<String, String> said = new TreeMap<>();
    for (Map.Entry<ExitReason, String> each : Outcome.REASONS.entrySet()) {
      said.put("`" + each.getKey().name().toLowerCase(Locale.ROOT) + "`", each.getValue());
    }
    said.put("it never ran", Outcome.QUEUED);
    said.put("the Python process ended", Outcome.STATE_LOST);
    said.put("no output", Outcome.SILENT);
    said.put("too much output", Texts.cut("x".repeat(50_000), 0).strip());
    said.put("too many pictures", Pictures.TOO_MANY);

    Map<String, String> page = table("How code ended");
    // Every tool here can pass pictures on.
    page.remove("pictures, where they can't be passed on");
    assertThat(said).isEqualTo(page);
  }

  @Test
  void every_error_of_a_sandbox_is_on_the_page() throws Exception {
    Map<String, String> said = new TreeMap<>();
    Advice.BY_CODE.forEach((code, text) -> said.put("`" + code + "`", text));
    Advice.BY_KIND.forEach((kind, text) -> said.put("other `" + nameInPython(kind) + "`", text));
    assertThat(said).isEqualTo(table("What failed"));
  }

  @Test
  void every_kind_of_exception_has_its_advice() {
    for (Class<?> kind : PodflareException.class.getPermittedSubclasses()) {
      assertThat(Advice.BY_KIND).containsKey(kind.asSubclass(PodflareException.class));
    }
  }

  @Test
  void everything_that_a_model_can_do_wrong_is_on_the_page() throws Exception {
    String file = "/root/a.py";
    Map<String, String> said = new TreeMap<>();
    try (FakeHost host = new FakeHost()) {
      host.files.put(file, "x\nx\n".getBytes(StandardCharsets.UTF_8));
      host.files.put("/root/data.bin", new byte[] {(byte) 0xff, (byte) 0xfe});
      host.files.put("/root/big.txt", new byte[2_000_000]);
      SandboxTools tools = new SandboxTools(host.sandbox());
      Map<String, Map<String, Object>> asked =
          Map.of(
              "an unknown command of the editor",
              Map.of("command", "undo_edit", "path", file),
              "no path",
              Map.of("command", "view", "path", ""),
              "a bad `view_range`",
              Map.of("command", "view", "path", file, "view_range", List.of(0, 1)),
              "lines that are not there",
              Map.of("command", "view", "path", file, "view_range", List.of(9, -1)),
              "a text that is not there",
              Map.of("command", "str_replace", "path", file, "old_str", "y", "new_str", "z"),
              "a text that is there twice",
              Map.of("command", "str_replace", "path", file, "old_str", "x", "new_str", "z"),
              "no `insert_line`",
              Map.of("command", "insert", "path", file, "insert_text", "y"),
              "an `insert_line` beyond the end",
              Map.of("command", "insert", "path", file, "insert_line", 7, "insert_text", "y"),
              "a file that is no text",
              Map.of("command", "view", "path", "/root/data.bin"),
              "a file that is too large",
              Map.of("command", "view", "path", "/root/big.txt"));
      asked.forEach((what, input) -> said.put(what, refused(tools.answer(EDITOR, input))));
      said.put("a field is missing", refused(tools.answer("run_python", Map.of())));
    }

    Map<String, String> page = table("What the model did wrong");
    // No tool here takes a language.
    page.remove("an unknown language");
    assertThat(said).isEqualTo(page);
  }

  private static String refused(ToolAnswer answer) {
    assertThat(answer.isError()).isTrue();
    return answer.text();
  }

  private static String nameInPython(Class<? extends PodflareException> kind) {
    return kind == RequestTimeoutException.class
        ? "TimeoutError"
        : kind.getSimpleName().replace("Exception", "Error");
  }

  /** The rows of the table below a heading of the page. */
  private static Map<String, String> table(String heading) throws IOException {
    String page = Files.readString(PAGE);
    int begin = page.indexOf("## " + heading + "\n");
    assertThat(begin).isNotNegative();
    int end = page.indexOf("\n## ", begin);
    String section = page.substring(begin, end < 0 ? page.length() : end);
    Map<String, String> rows = new TreeMap<>();
    Matcher row = ROW.matcher(section);
    assertThat(row.find()).as("a head of the table").isTrue();
    while (row.find()) {
      if (!row.group(1).startsWith("---")) {
        rows.put(row.group(1), row.group(2));
      }
    }
    assertThat(rows).isNotEmpty();
    return rows;
  }
}
