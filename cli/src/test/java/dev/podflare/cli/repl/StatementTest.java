package dev.podflare.cli.repl;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StatementTest {

  /** Which of the lines ends the statement; -1 if none does. */
  private static int endOf(String... lines) {
    Statement statement = new Statement();
    for (int i = 0; i < lines.length; i++) {
      if (statement.add(lines[i])) {
        assertThat(statement.text()).isEqualTo(String.join("\n", List.of(lines).subList(0, i + 1)));
        return i;
      }
    }
    return -1;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "x = 1",
        "print('a (')",
        "print(\"'\")",
        "x = '#'  # a comment (",
        "s = 'it\\'s'",
        "x = {'a': 1}",
        "x[1:]",
        "f = lambda: 0",
        "'''one line'''",
        "!ls (",
        "%pip install x",
        "if x: print(x)",
        "unclosed = 'string",
        "x = )",
        "x?",
      })
  void a_line_that_is_whole_ends_it(String line) {
    assertThat(endOf(line)).isZero();
  }

  @Test
  void brackets_strings_and_continuations_go_on() {
    assertThat(endOf("x = [", "1,", "]")).isEqualTo(2);
    assertThat(endOf("x = f(1, # (", "'(',", ")")).isEqualTo(2);
    assertThat(endOf("s = '''a", "(b", "c'''")).isEqualTo(2);
    assertThat(endOf("s = \"\"\"a\\\"\"\"", "b\"\"\"")).isEqualTo(1);
    assertThat(endOf("x = 1 + \\", "2")).isEqualTo(1);
    assertThat(endOf("s = 'a\\", "b'")).isEqualTo(1);
  }

  @Test
  void a_block_ends_with_an_empty_line() {
    assertThat(endOf("for i in x:", "  print(i)", "")).isEqualTo(2);
    assertThat(endOf("if x:  # why", "  a", "else:", "  b", "")).isEqualTo(4);
    assertThat(endOf("@decorated", "def f():", "  s = '''", "", "'''", "")).isEqualTo(5);
    assertThat(endOf("class A:", "  def f(self, a", "", "  ): pass", "")).isEqualTo(4);
    assertThat(endOf("%%time", "x = 1", "")).isEqualTo(2);
  }

  @Test
  void empty_lines_before_it_are_nothing() {
    Statement statement = new Statement();
    assertThat(statement.add("")).isFalse();
    assertThat(statement.add("   ")).isFalse();
    assertThat(statement.isEmpty()).isTrue();
  }
}
