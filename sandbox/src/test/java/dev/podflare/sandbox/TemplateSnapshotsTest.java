package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.engine.MachineShape;
import java.nio.file.Path;
import net.jqwik.api.Assume;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.AlphaChars;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.StringLength;
import org.junit.jupiter.api.Test;

/** The names of templates' snapshots. That they are built and used, LocalSandboxesTest proves. */
class TemplateSnapshotsTest {

  private static final MachineShape SHAPE = new MachineShape(1, 1024, 4096);
  private static final Template TEMPLATE = new Template("default", "1 + 1");

  private static String name(Template template, MachineShape shape, String engine, String image) {
    return TemplateSnapshots.name(template, shape, engine, image);
  }

  @Test
  void the_same_inputs_give_the_same_name() {
    assertThat(name(TEMPLATE, SHAPE, "qemu/7", "abc"))
        .isEqualTo(name(TEMPLATE, SHAPE, "qemu/7", "abc"));
  }

  @Property
  void every_change_of_the_engine_the_image_or_the_warm_up_gives_another_name(
      @ForAll String one, @ForAll String other) {
    Assume.that(!one.equals(other));
    assertThat(name(TEMPLATE, SHAPE, one, "i")).isNotEqualTo(name(TEMPLATE, SHAPE, other, "i"));
    assertThat(name(TEMPLATE, SHAPE, "e", one)).isNotEqualTo(name(TEMPLATE, SHAPE, "e", other));
    assertThat(name(new Template("t", one), SHAPE, "e", "i"))
        .isNotEqualTo(name(new Template("t", other), SHAPE, "e", "i"));
  }

  @Property
  void every_size_and_every_template_has_a_name_of_its_own(
      @ForAll @IntRange(min = 1, max = 64) int cpus,
      @ForAll @IntRange(min = 256, max = 1 << 20) int memory,
      @ForAll @IntRange(min = 64, max = 1 << 20) int disk) {
    MachineShape shape = new MachineShape(cpus, memory, disk);
    Assume.that(!shape.equals(SHAPE));
    assertThat(name(TEMPLATE, shape, "e", "i")).isNotEqualTo(name(TEMPLATE, SHAPE, "e", "i"));
    assertThat(name(new Template("other", "pass"), shape, "e", "i"))
        .isNotEqualTo(name(Template.DEFAULT, shape, "e", "i"));
  }

  @Test
  void templates_that_are_alike_share_one() {
    assertThat(name(Template.PYTHON_DATASCI, SHAPE, "e", "i"))
        .isEqualTo(name(Template.DEFAULT, SHAPE, "e", "i"));
    assertThat(Template.PYTHON_DATASCI.warmUp()).isEqualTo(Template.DEFAULT.warmUp());
  }

  @Property
  void a_name_is_one_harmless_name_in_a_directory(
      @ForAll String engine,
      @ForAll String warmUp,
      @ForAll @AlphaChars @StringLength(min = 1, max = 40) String template) {
    String name = name(new Template(template, warmUp), SHAPE, engine, "i");
    Path directory = Path.of("/templates");
    assertThat(directory.resolve(name).normalize().getParent()).isEqualTo(directory);
    assertThat(name).startsWith(template + "-1c-1024m-4096d-");
  }
}
