package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.stream.Stream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.CharRange;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.StringLength;
import org.junit.jupiter.api.Test;

class SandboxIdTest {

  /** Near an id, and near a path: what a careless or a hostile client would send. */
  @Provide
  Arbitrary<String> anything() {
    return Arbitraries.oneOf(
        Arbitraries.strings().ofMaxLength(50),
        Arbitraries.strings().withChars("sbx_./\\\0\n%0123456789abcdefABCDEF").ofMaxLength(50),
        Arbitraries.strings()
            .withChars("0123456789abcdefG/.\n\u0661")
            .ofLength(32)
            .map(digits -> "sbx_" + digits),
        Arbitraries.strings().ofMaxLength(3).map(tail -> SandboxId.random() + tail));
  }

  @Property
  void what_is_accepted_is_one_harmless_name_in_a_directory(@ForAll("anything") String text) {
    SandboxId.parse(text)
        .ifPresent(id -> {
          assertThat(id.value()).isEqualTo(text).matches("\\Asbx_[0-9a-f]{32}\\z");
          Path directory = Path.of("/data");
          assertThat(directory.resolve(id.value()).normalize().getParent()).isEqualTo(directory);
        });
  }

  @Property
  void parsing_and_making_agree_on_what_an_id_is(@ForAll("anything") String text) {
    if (SandboxId.parse(text).isEmpty()) {
      assertThatThrownBy(() -> new SandboxId(text)).isInstanceOf(IllegalArgumentException.class);
    } else {
      assertThat(new SandboxId(text).value()).isEqualTo(text);
    }
  }

  @Property
  void every_id_of_the_form_is_accepted(
      @ForAll @StringLength(32) @CharRange(from = '0', to = '9') String digits) {
    assertThat(SandboxId.parse("sbx_" + digits)).contains(new SandboxId("sbx_" + digits));
  }

  @Property
  void an_id_with_one_character_changed_to_another_kind_is_refused(
      @ForAll @IntRange(max = 35) int place) {
    StringBuilder id = new StringBuilder(SandboxId.random().value());
    id.setCharAt(place, 'X');
    assertThat(SandboxId.parse(id.toString())).isEmpty();
  }

  @Test
  void a_line_break_at_the_end_is_no_part_of_an_id() {
    assertThat(SandboxId.parse(SandboxId.random() + "\n")).isEmpty();
  }

  @Test
  void no_two_are_the_same() {
    assertThat(Stream.generate(SandboxId::random).limit(1000)).doesNotHaveDuplicates();
  }
}
