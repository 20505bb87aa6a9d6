package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.Isolation;
import dev.podflare.host.Command;
import dev.podflare.host.HostException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class QemuTest {

  private static final String LISTED_BY_7_2 =
      """
      Supported machines are:
      microvm              microvm (i386)
      pc                   Standard PC (i440FX + PIIX, 1996) (alias of pc-i440fx-7.2)
      pc-i440fx-7.2        Standard PC (i440FX + PIIX, 1996) (default)
      pc-i440fx-7.1        Standard PC (i440FX + PIIX, 1996)
      """;
  private static final String LISTED_BY_10_0 =
      """
      Supported machines are:
      pc                   Standard PC (i440FX + PIIX, 1996) (alias of pc-i440fx-10.0)
      pc-i440fx-10.0       Standard PC (i440FX + PIIX, 1996) (default)
      pc-i440fx-9.2        Standard PC (i440FX + PIIX, 1996)
      pc-i440fx-7.2        Standard PC (i440FX + PIIX, 1996) (deprecated)
      """;

  @Test
  void versions_of_qemu_play_the_same_machine() throws Exception {
    assertThat(Qemu.machineType("10.0.13", LISTED_BY_10_0))
        .isEqualTo(Qemu.machineType("7.2.22", LISTED_BY_7_2))
        .isEqualTo("pc-i440fx-7.2");
  }

  @Test
  void one_that_has_dropped_the_machine_plays_the_next() throws Exception {
    String listed = LISTED_BY_10_0.replaceAll("pc-i440fx-7.2.*\n", "");
    assertThat(Qemu.machineType("13.0.0", listed)).isEqualTo("pc-i440fx-10.0");
  }

  @Test
  void one_without_any_is_refused_with_what_to_install() {
    String listed = LISTED_BY_7_2.replace("pc-i440fx-7.2  ", "pc-i440fx-6.2  ");
    assertThatThrownBy(() -> Qemu.machineType("6.2.0", listed))
        .isInstanceOf(HostException.class)
        .hasMessageContaining("6.2.0")
        .hasMessageContaining("install version 7.2 or newer");
  }

  /** Asked of the QEMU that is installed: {@code enforce} makes a lack of anything an error. */
  @Test
  void the_installed_one_plays_the_emulated_processor_whole_and_without_a_word() throws Exception {
    String model = new Accelerator(Isolation.EMULATED, "").processor();
    assertThat(model).contains("enforce=on").doesNotStartWith("max");
    Qemu qemu = Qemu.find();
    String said =
        Command.of(
                "sh",
                "-c",
                "echo quit | \"$@\" 2>&1 >/dev/null",
                "sh",
                qemu.root().resolve(qemu.program().substring(1)).toString(),
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
                "-S",
                "-monitor",
                "stdio",
                "-accel",
                "tcg",
                "-machine",
                qemu.machineType(),
                "-cpu",
                model)
            .run();
    assertThat(said).isEmpty();
  }

  @Test
  void another_root_has_all_that_a_jail_shows_of_it(@org.junit.jupiter.api.io.TempDir Path root)
      throws Exception {
    java.nio.file.Files.createDirectories(root.resolve("usr/bin"));
    java.nio.file.Files.createSymbolicLink(root.resolve("lib64"), Path.of("usr/lib64"));
    java.nio.file.Files.createDirectories(root.resolve("usr/lib64"));
    assertThat(Qemu.systemPaths(root))
        .containsOnlyKeys("usr", "lib64")
        .containsEntry("usr", root.resolve("usr"));
  }
}
