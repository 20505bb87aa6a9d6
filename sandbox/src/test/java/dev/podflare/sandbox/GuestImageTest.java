package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.entry;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GuestImageTest {

  @TempDir private Path directory;

  private GuestImage open(String manifest) throws IOException {
    Files.writeString(directory.resolve("image.json"), manifest);
    return GuestImage.open(directory);
  }

  @Test
  void its_files_are_those_of_its_directory() throws Exception {
    GuestImage image = open("{}");
    assertThat(image.boot().kernel()).isEqualTo(directory.resolve("vmlinuz"));
    assertThat(image.boot().initramfs()).isEqualTo(directory.resolve("initramfs.img"));
    assertThat(image.boot().rootfs()).isEqualTo(directory.resolve("rootfs.erofs"));
  }

  @Test
  void its_fingerprint_follows_its_manifest() throws Exception {
    String first = open("{\"a\":1}").fingerprint();
    assertThat(open("{\"a\":2}").fingerprint()).isNotEqualTo(first);
    assertThat(open("{\"a\":1}").fingerprint()).isEqualTo(first);
  }

  @Test
  void what_is_in_it_stands_in_its_manifest() throws Exception {
    GuestImage image =
        open(
            """
            {"python_version": "3.13.5", "python_packages": {"pandas": "2.2.3", "numpy": "2.2.4"},
             "packages": {"bash": "5"}}
            """);
    assertThat(image.python()).contains("3.13.5");
    assertThat(image.pythonPackages())
        .containsExactly(entry("numpy", "2.2.4"), entry("pandas", "2.2.3"));
    assertThat(open("{}").python()).isEmpty();
    assertThat(open("{}").pythonPackages()).isEmpty();
  }

  @Test
  void a_manifest_that_is_none_is_refused() {
    assertThatThrownBy(() -> open("{"))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("manifest");
  }

  @Test
  void a_directory_without_a_manifest_has_no_image() {
    assertThatThrownBy(() -> GuestImage.open(directory))
        .isInstanceOf(IOException.class)
        .hasMessage("there is no guest image in " + directory);
  }
}
