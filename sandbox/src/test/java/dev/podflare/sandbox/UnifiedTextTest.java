package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

class UnifiedTextTest {

  private static final Pattern HUNK =
      Pattern.compile("@@ -(\\d+)(?:,(\\d+))? \\+(\\d+)(?:,(\\d+))? @@\n");

  @Test
  void a_change_is_told_as_the_diff_command_tells_it() {
    assertThat(
            UnifiedText.of(
                "/a", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "/b", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n"))
        .isEqualTo(
            """
            --- /a
            +++ /b
            @@ -2,7 +2,7 @@
             2
             3
             4
            -5
            +five
             6
             7
             8
            """);
  }

  @Test
  void a_new_file_comes_from_nowhere_and_a_missing_line_feed_is_said() {
    assertThat(UnifiedText.of(UnifiedText.NULL, "", "/b", "one\ntwo"))
        .isEqualTo(
            """
            --- /dev/null
            +++ /b
            @@ -0,0 +1,2 @@
            +one
            +two
            \\ No newline at end of file
            """);
    assertThat(UnifiedText.of("/a", "one\n", UnifiedText.NULL, ""))
        .isEqualTo("--- /a\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n");
  }

  @Test
  void equal_texts_have_no_change() {
    assertThat(UnifiedText.of("/a", "x\n", "/a", "x\n")).isEmpty();
  }

  @Test
  void changes_far_apart_are_hunks_of_their_own() {
    var lines = new ArrayList<String>();
    for (int i = 0; i < 40; i++) {
      lines.add("line " + i + "\n");
    }
    String before = String.join("", lines);
    lines.set(2, "second\n");
    lines.set(30, "thirtieth\n");
    String change = UnifiedText.of("/a", before, "/a", String.join("", lines));
    assertThat(HUNK.matcher(change).results()).hasSize(2);
    assertThat(patched(before, change)).isEqualTo(String.join("", lines));
  }

  @Test
  @Timeout(20)
  void texts_that_have_nothing_in_common_take_no_longer_than_they_may() {
    var one = new StringBuilder();
    var other = new StringBuilder();
    for (int i = 0; i < 16_000; i++) {
      one.append(i).append('\n');
      other.append('x').append(i).append('\n');
    }
    String change = UnifiedText.of("/a", one.toString(), "/a", other.toString());
    assertThat(patched(one.toString(), change)).isEqualTo(other.toString());
  }

  @Property
  void the_change_applied_to_the_first_text_gives_the_second(
      @ForAll("texts") String from, @ForAll("texts") String to) {
    String change = UnifiedText.of("/a", from, "/a", to);
    assertThat(patched(from, change)).isEqualTo(to);
  }

  @Property
  void no_line_is_removed_and_added_that_could_be_kept(
      @ForAll("texts") String from, @ForAll("texts") String to) {
    String change = UnifiedText.of("/a", from, "/a", to);
    long edits = change.lines().skip(2).filter(l -> l.startsWith("+") || l.startsWith("-")).count();
    assertThat(edits).isEqualTo(fewestEdits(lines(from), lines(to)));
  }

  @Provide
  Arbitrary<String> texts() {
    return Arbitraries.of("a\n", "b\n", "c\n", "d\n", "\n", "end")
        .list()
        .ofMaxSize(30)
        .map(lines -> {
          String text = String.join("", lines);
          return text;
        });
  }

  private static List<String> lines(String text) {
    var lines = new ArrayList<String>();
    Matcher line = Pattern.compile("[^\n]*\n|[^\n]+$").matcher(text);
    while (line.find()) {
      lines.add(line.group());
    }
    return lines;
  }

  /** By the longest common subsequence, the plain and slow way. */
  private static long fewestEdits(List<String> from, List<String> to) {
    int[][] common = new int[from.size() + 1][to.size() + 1];
    for (int i = 1; i <= from.size(); i++) {
      for (int j = 1; j <= to.size(); j++) {
        common[i][j] =
            from.get(i - 1).equals(to.get(j - 1))
                ? common[i - 1][j - 1] + 1
                : Math.max(common[i - 1][j], common[i][j - 1]);
      }
    }
    return from.size() + to.size() - 2L * common[from.size()][to.size()];
  }

  /** What `patch` would make of it. Fails if the change does not fit the text. */
  private static String patched(String text, String change) {
    if (change.isEmpty()) {
      return text;
    }
    List<String> from = lines(text);
    List<String> told = lines(change);
    var result = new ArrayList<String>();
    int at = 0;
    int i = 2;
    while (i < told.size()) {
      Matcher hunk = HUNK.matcher(told.get(i++));
      assertThat(hunk.matches()).isTrue();
      int count = hunk.group(2) == null ? 1 : Integer.parseInt(hunk.group(2));
      int begin = Integer.parseInt(hunk.group(1)) - (count == 0 ? 0 : 1);
      result.addAll(from.subList(at, begin));
      at = begin;
      while (i < told.size() && !told.get(i).startsWith("@@")) {
        String line = told.get(i++);
        String content = line.substring(1);
        if (i < told.size() && told.get(i).startsWith("\\")) {
          content = content.substring(0, content.length() - 1);
          i++;
        }
        if (line.charAt(0) != '+') {
          assertThat(from.get(at++)).isEqualTo(content);
        }
        if (line.charAt(0) != '-') {
          result.add(content);
        }
      }
    }
    result.addAll(from.subList(at, from.size()));
    return String.join("", result);
  }
}
