package dev.podflare.cli.text;

import static org.assertj.core.api.Assertions.assertThat;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class PrintableTest {

  @Test
  void letters_of_every_script_stay() {
    assertThat(Printable.line("/root/Übung 中文 🙂")).isEqualTo("/root/Übung 中文 🙂");
  }

  @Test
  void what_a_terminal_would_obey_is_written_as_an_escape() {
    assertThat(Printable.line("a\u001b]0;b\u0007\n\u009bc\u202ed"))
        .isEqualTo("a\\x1b]0;b\\x07\\x0a\\x9bc\\u202ed");
  }

  @Test
  void lines_and_tabs_of_a_text_stay() {
    assertThat(Printable.lines("a\n\tb\r\u001b")).isEqualTo("a\n\tb\\x0d\\x1b");
  }

  @Property
  void nothing_that_is_printed_controls_the_terminal(@ForAll String text) {
    assertThat(Printable.line(text).chars().noneMatch(Character::isISOControl)).isTrue();
  }
}
