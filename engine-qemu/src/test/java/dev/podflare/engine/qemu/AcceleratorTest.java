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

  @Test
  void what_a_kernel_says_of_faults_does_not_part_a_snapshot_from_its_processor() {
    String before = "fpu sse sse2 avx2 fma xsavec svm arch_perfmon ibrs";
    String patched = "fpu sse sse2 avx2 fma xsavec svm arch_perfmon ibrs md_clear srso_no bhi_ctrl";
    assertThat(Accelerator.relied(patched)).isEqualTo(Accelerator.relied(before));
    assertThat(Accelerator.relied(before + " avx512f")).isNotEqualTo(Accelerator.relied(before));
    assertThat(Accelerator.relied(before)).isEqualTo("avx2 fma sse sse2 xsavec");
  }

  @Test
  void a_processor_is_never_all_that_a_version_of_qemu_can_do() {
    for (Isolation isolation : Isolation.values()) {
      assertThat(new Accelerator(isolation, "").processor())
          .isNotIn("max", "host")
          .contains("svm=off")
          .doesNotContain("svm=on");
    }
    assertThat(new Accelerator(Isolation.KVM, "").processor()).contains("pmu=off", "vmx=off");
  }
}
