package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

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
  void a_directory_without_a_manifest_has_no_image() {
    assertThatThrownBy(() -> GuestImage.open(directory))
        .isInstanceOf(IOException.class)
        .hasMessage("there is no guest image in " + directory);
  }
}
