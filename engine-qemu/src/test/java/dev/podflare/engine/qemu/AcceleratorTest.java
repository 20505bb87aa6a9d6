package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.engine.Isolation;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class AcceleratorTest {

  private static boolean processorShowsVirtualization() throws Exception {
    return Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
        .filter(line -> line.startsWith("flags"))
        .anyMatch(line -> line.matches(".*\\b(vmx|svm)\\b.*"));
  }

  @Test
  void without_the_processors_flag_the_device_alone_does_not_count() throws Exception {
    Accelerator found = Accelerator.detect();
    if (processorShowsVirtualization()) {
      assertThat(found.reason()).containsAnyOf("vmx", "svm");
    } else {
      assertThat(found.isolation()).isEqualTo(Isolation.EMULATED);
      assertThat(found.reason()).contains("neither vmx nor svm");
    }
  }

  @Test
  void what_is_found_is_found_again() {
    assertThat(Accelerator.detect()).isEqualTo(Accelerator.detect());
    assertThat(Accelerator.detect().processorFingerprint())
        .isEqualTo(Accelerator.detect().processorFingerprint());
  }

  @Test
  void snapshots_of_one_kind_do_not_pass_for_the_other() {
    assertThat(new Accelerator(Isolation.KVM, "").processorFingerprint())
        .isNotEqualTo(new Accelerator(Isolation.EMULATED, "").processorFingerprint());
  }

  @Test
  void the_translation_cache_of_an_emulated_machine_is_bounded() {
    assertThat(new Accelerator(Isolation.EMULATED, "").option(2)).contains("tb-size=");
  }
}
