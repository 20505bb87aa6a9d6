package dev.podflare.cli.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Set;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class IdsTest {

  private static final String ONE = "sbx_3f2a91" + "0".repeat(26);
  private static final String TWIN = "sbx_3f2a917" + "1".repeat(25);
  private static final String OTHER = "sbx_8" + "0".repeat(31);

  @Test
  void an_id_is_shown_by_six_digits_or_by_as_many_as_tell_it_from_every_other() {
    assertThat(Ids.ofSandboxes(List.of(ONE, OTHER)).shorten(ONE)).isEqualTo("sbx_3f2a91");
    assertThat(Ids.ofSandboxes(List.of(ONE, TWIN, OTHER)).shorten(ONE)).isEqualTo("sbx_3f2a910");
    assertThat(Ids.ofSandboxes(List.of()).shorten(ONE)).isEqualTo("sbx_3f2a91");
  }

  @Test
  void a_beginning_that_one_id_has_means_that_one() throws Exception {
    Ids ids = Ids.ofSandboxes(List.of(OTHER, TWIN, ONE));

    assertThat(ids.meantBy("sbx_3f2a910")).isEqualTo(ONE);
    assertThat(ids.meantBy("3f2a917")).isEqualTo(TWIN);
    assertThat(ids.meantBy("8")).isEqualTo(OTHER);
    assertThat(ids.meantBy(ONE)).isEqualTo(ONE);
  }

  @Test
  void a_beginning_that_several_have_is_refused_with_what_it_may_be() {
    assertThatThrownBy(() -> Ids.ofSandboxes(List.of(OTHER, TWIN, ONE)).meantBy("3f"))
        .isInstanceOf(CommandFailure.class)
        .hasMessage("3f may be each of 2: sbx_3f2a910, sbx_3f2a917. Write more digits.");
  }

  @Test
  void a_beginning_that_none_has_is_refused_with_where_they_are_listed() {
    assertThatThrownBy(() -> Ids.ofSpaces(List.of()).meantBy("3f"))
        .isInstanceOf(CommandFailure.class)
        .hasMessage("no Space begins with 3f; see them with: podflare spaces");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "sbx_", "spc_3f", "xyz", "3F", "../3f", "3f%20", "3f\u001b[2J"})
  void what_no_id_begins_with_is_refused(String given) {
    assertThatThrownBy(() -> Ids.ofSandboxes(List.of(ONE)).meantBy(given))
        .isInstanceOf(CommandFailure.class)
        .hasMessageContaining("is not the beginning of an id")
        .hasMessageNotContaining("\u001b");
  }

  @Property
  void what_is_shown_of_an_id_means_that_one_only(@ForAll("ids") Set<String> all)
      throws CommandFailure {
    Ids ids = Ids.ofSandboxes(all);
    for (String id : all) {
      assertThat(ids.meantBy(ids.shorten(id))).isEqualTo(id);
    }
  }

  @Provide
  Arbitrary<Set<String>> ids() {
    return Arbitraries.strings()
        .withChars("01")
        .ofMinLength(10)
        .ofMaxLength(10)
        .map(digits -> "sbx_" + digits + "0".repeat(22))
        .set()
        .ofMaxSize(20);
  }
}
