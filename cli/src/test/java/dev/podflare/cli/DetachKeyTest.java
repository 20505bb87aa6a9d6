package dev.podflare.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DetachKeyTest {

  private final DetachKey key = new DetachKey();

  /** What a program gets of what is typed, key by key; ] stands for Ctrl-]. */
  private String passed(String typed) {
    StringBuilder passed = new StringBuilder();
    for (byte one : typed.replace(']', '\u001d').getBytes(StandardCharsets.UTF_8)) {
      passed.append(new String(key.filter(new byte[] {one, 0}, 1), StandardCharsets.ISO_8859_1));
    }
    return passed.toString().replace('\u001d', ']');
  }

  @ParameterizedTest
  @CsvSource({"abc, abc", "a]]b, a]b", "]x, ]x", "d]]d, d]d", "]]]], ]]"})
  void whatIsNotTheKeyReachesTheProgram(String typed, String reaches) {
    assertThat(passed(typed)).isEqualTo(reaches);
    assertThat(key.isPressed()).isFalse();
  }

  @ParameterizedTest
  @CsvSource({"ab]dcd, ab", "]D, ''", "]]]d, ]", "]x]d, ]x"})
  void theKeyEndsAll(String typed, String reaches) {
    assertThat(passed(typed)).isEqualTo(reaches);
    assertThat(key.isPressed()).isTrue();
  }

  @Test
  void aWholeLineIsFilteredAsItsKeysAre() {
    byte[] typed = "ls]]\r]d".replace(']', '\u001d').getBytes(StandardCharsets.UTF_8);
    assertThat(key.filter(typed, typed.length))
        .isEqualTo("ls\u001d\r".getBytes(StandardCharsets.UTF_8));
    assertThat(key.isPressed()).isTrue();
  }
}
