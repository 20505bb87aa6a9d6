package dev.podflare.sdk.tools;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.sdk.ExecResult;
import dev.podflare.sdk.ExitReason;
import dev.podflare.sdk.Shown;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** How the outcome of code is told. */
class OutcomeTest {
  private static final int LIMIT = 30_000;
  private static final String PNG =
      Base64.getEncoder()
          .encodeToString("\u0089PNG\r\n\u001a\n and more".getBytes(StandardCharsets.ISO_8859_1));

  @Test
  void a_text_is_told_as_a_terminal_would_leave_it() {
    assertThat(Texts.screen("\r0/2\r1/2\r2/2\ndone\r\n")).isEqualTo("2/2\ndone\n");
    assertThat(Texts.screen("a\rb\r")).isEqualTo("b");
    assertThat(Texts.screen("\033[1;31mred\033[0m \033]0;title\007x\033(B")).isEqualTo("red x");
    assertThat(Texts.screen("50%\b\b\b🎉\b60%\n\b!")).isEqualTo("60%\n!");
    assertThat(Texts.screen("\033]open\nnext \033[")).isEqualTo("\nnext ");
    String much = "x".repeat(1_000_000) + "\b".repeat(1_000_000) + "\r".repeat(1_000_000) + "y";
    assertThat(Texts.screen(much)).isEqualTo("y");
  }

  @Test
  void output_result_and_ending_come_in_this_order() {
    ToolAnswer told =
        Outcome.plain(
            ended(1, "out\n", "warning\n", List.of(new Shown(Map.of("text/plain", "42")))), LIMIT);
    assertThat(told.text()).isEqualTo("out\nstderr:\nwarning\n42\nexit code: 1");
    assertThat(told.isError()).isTrue();
  }

  @Test
  void what_printed_nothing_says_so() {
    assertThat(Outcome.plain(printed(""), LIMIT)).isEqualTo(ToolAnswer.told(Outcome.SILENT, false));
  }

  @Test
  void a_value_that_has_html_too_is_told_as_text() {
    Shown table = new Shown(Map.of("text/plain", "  x\n0 1", "text/html", "<table>"));
    assertThat(Outcome.plain(shown(table), LIMIT).text()).isEqualTo("  x\n0 1");
  }

  @Test
  void a_picture_is_told_as_a_picture() {
    Shown figure = new Shown(Map.of("text/plain", "<Figure>", "image/png", PNG + "\n"));
    assertThat(Outcome.plain(shown(figure), LIMIT).content())
        .containsExactly(
            new Content.Text("(see the picture)"), new Content.Image("image/png", PNG));
  }

  @ParameterizedTest
  @ValueSource(strings = {"!!!", "", "R0lGODlh"})
  void what_is_no_picture_is_left_out_and_that_is_said(String data) {
    ToolAnswer told = Outcome.plain(shown(new Shown(Map.of("image/png", data))), LIMIT);
    assertThat(told.content())
        .containsExactly(
            new Content.Text("[a picture is left out: its data are no image/png. Draw it again]"));
  }

  @Test
  void a_picture_that_no_provider_takes_is_left_out_and_that_is_said() {
    Shown huge = new Shown(Map.of("image/png", PNG + "A".repeat(6_000_000)));
    assertThat(Outcome.plain(shown(huge), LIMIT).text()).contains("bytes is left out: that is too");
  }

  @Test
  void there_are_at_most_eight_pictures() {
    Shown figure = new Shown(Map.of("image/png", PNG));
    ToolAnswer told = Outcome.plain(ended(0, "", "", Collections.nCopies(10, figure)), LIMIT);
    assertThat(told.content()).hasSize(1 + 8);
    assertThat(told.text()).isEqualTo(Pictures.TOO_MANY + "\n" + Pictures.TOO_MANY);
  }

  @Test
  void long_output_keeps_its_beginning_and_its_end() {
    String told = Outcome.plain(printed("begin" + "x".repeat(100_000) + "end"), 1000).text();
    assertThat(told).startsWith("beginx").endsWith("xend").hasSizeLessThan(1200);
    assertThat(told).contains("\n[… 99,008 characters are left out here.");
    assertThat(Texts.cut("short", 5)).isEqualTo("short");
  }

  @Test
  void what_is_cut_are_whole_characters() {
    String told = Texts.cut("🎉".repeat(10), 5);
    assertThat(told).startsWith("🎉🎉🎉\n[… 5 characters").endsWith("…]\n🎉🎉");
    assertThat(Texts.cut("🎉".repeat(5), 5)).isEqualTo("🎉".repeat(5));
  }

  @Test
  void halves_of_surrogate_pairs_do_not_reach_the_provider() {
    assertThat(Outcome.plain(printed("a\ud800b🎉\udfff"), LIMIT).text())
        .isEqualTo("a\ufffdb🎉\ufffd");
  }

  @Test
  void a_lost_process_is_told_in_both_forms() {
    ExecResult lost =
        new ExecResult(
            "", "", 137, List.of(), Optional.empty(), false, ExitReason.OOM, Duration.ZERO);
    assertThat(Outcome.plain(lost, LIMIT).text())
        .startsWith("[ended because the sandbox has no more memory.")
        .contains(Outcome.STATE_LOST)
        .endsWith("\nexit code: 137");
    assertThat(Outcome.exact(lost).text())
        .isEqualTo("stdout:\n\nstderr:\n\n" + Outcome.STATE_LOST + "\nexit_code: 137");
  }

  private static ExecResult printed(String stdout) {
    return ended(0, stdout, "", List.of());
  }

  private static ExecResult shown(Shown value) {
    return ended(0, "", "", List.of(value));
  }

  private static ExecResult ended(int code, String stdout, String stderr, List<Shown> results) {
    ExitReason reason = code == 0 ? ExitReason.OK : ExitReason.ERROR;
    return new ExecResult(
        stdout, stderr, code, results, Optional.empty(), true, reason, Duration.ZERO);
  }
}
