package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.engine.BootImage;
import dev.podflare.engine.Isolation;
import dev.podflare.engine.MachineShape;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

class QemuArgumentsTest {

  private static final Path SECRET = Path.of("/host/only");
  private static final BootImage IMAGE =
      new BootImage(SECRET.resolve("k"), SECRET.resolve("i"), SECRET.resolve("r"), "quiet");

  private static QemuArguments arguments(Isolation isolation, MachineShape shape) {
    return new QemuArguments(
        new Qemu(Path.of("/"), "9.9.9", "pc-i440fx-9.9", new Accelerator(isolation, "a test")),
        shape);
  }

  /** The values of one option, in their order. */
  private static List<String> values(List<String> words, String... options) {
    return IntStream.range(0, words.size() - 1)
        .filter(i -> List.of(options).contains(words.get(i)))
        .mapToObj(i -> words.get(i + 1))
        .toList();
  }

  @Property
  void a_clones_machine_is_the_one_that_was_frozen_device_by_device(
      @ForAll Isolation isolation,
      @ForAll @IntRange(min = 1, max = 64) int cpus,
      @ForAll @IntRange(min = 256, max = 1 << 20) int memory,
      @ForAll @IntRange(min = 64, max = 1 << 20) int disk) {
    QemuArguments machine = arguments(isolation, new MachineShape(cpus, memory, disk));
    List<String> boot = machine.boot(IMAGE);
    List<String> clone = machine.blank();
    for (String option :
        new String[] {
          "-device",
          "-machine",
          "-cpu",
          "-accel",
          "-smp",
          "-m",
          "-global",
          "-netdev",
          "-serial",
          "-mon"
        }) {
      assertThat(values(clone, option)).as(option).isEqualTo(values(boot, option)).isNotEmpty();
    }
    assertThat(values(clone, "-smp")).containsExactly(Integer.toString(cpus));
    assertThat(values(clone, "-m")).containsExactly(memory + "M");
    assertThat(ids(clone, "-chardev", "id="))
        .containsExactlyInAnyOrderElementsOf(ids(boot, "-chardev", "id="));
    assertThat(ids(clone, "-blockdev", "node-name="))
        .isEqualTo(ids(boot, "-blockdev", "node-name="));
    assertThat(ids(clone, "-object", "id=")).isEqualTo(ids(boot, "-object", "id="));
  }

  private static List<String> ids(List<String> words, String option, String key) {
    return values(words, option).stream()
        .map(value -> value.substring(value.indexOf(key) + key.length()).split(",", -1)[0])
        .toList();
  }

  @Property
  void only_a_booted_machine_has_its_memory_in_a_file_of_its_own(@ForAll Isolation isolation) {
    QemuArguments machine = arguments(isolation, new MachineShape(1, 512, 256));
    assertThat(values(machine.boot(IMAGE), "-object").getFirst())
        .endsWith("mem-path=/memory,share=on");
    assertThat(values(machine.blank(), "-object").getFirst())
        .isEqualTo("memory-backend-ram,id=ram,size=512M,merge=off");
  }

  @Property
  void a_disk_is_put_together_of_its_layers_from_the_lowest_one_up() {
    assertThat(
            tools.jackson.databind.json.JsonMapper.shared()
                .writeValueAsString(QemuArguments.disk(List.of(64, 65, 66), 3)))
        .contains("overlay-3", MonitorControl.path(Offered.disk(3)))
        .containsSubsequence("/offered/66", "/offered/65", "/offered/64");
  }

  @Property
  void programs_lie_at_the_same_addresses_only_where_they_are_translated(
      @ForAll Isolation isolation) {
    QemuArguments machine = arguments(isolation, new MachineShape(1, 512, 256));
    List<String> words = machine.boot(IMAGE);
    String line = words.get(words.indexOf("-append") + 1);
    assertThat(line.contains(" norandmaps")).isEqualTo(isolation == Isolation.EMULATED);
  }

  @Property
  void the_base_is_read_only_in_all(@ForAll Isolation isolation) {
    QemuArguments machine = arguments(isolation, new MachineShape(1, 512, 256));
    for (List<String> words : List.of(machine.boot(IMAGE), machine.blank())) {
      assertThat(values(words, "-blockdev"))
          .filteredOn(value -> value.contains("node-name=no-base"))
          .singleElement()
          .asString()
          .contains("read-only=on");
    }
  }

  @Property
  void no_path_of_the_host_is_named(@ForAll Isolation isolation) {
    QemuArguments machine = arguments(isolation, new MachineShape(1, 512, 256));
    assertThat(machine.boot(IMAGE)).noneMatch(word -> word.contains(SECRET.toString()));
  }
}
