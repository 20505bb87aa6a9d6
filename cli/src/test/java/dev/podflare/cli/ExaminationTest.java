package dev.podflare.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The doctor on the host that runs the tests, which has what sandboxes need. */
class ExaminationTest {

  @TempDir private Path directory;

  private static Finding server() {
    return Finding.ok("server", "serves");
  }

  private static Finding find(List<Finding> findings, String what) {
    return findings.stream()
        .filter(finding -> finding.what().equals(what))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void a_host_that_can_run_sandboxes_lacks_nothing() throws Exception {
    List<Finding> findings = Examination.of(directory, directory, ExaminationTest::server);
    assertThat(findings).filteredOn(each -> each.state() == Finding.State.MISSING).isEmpty();
    assertThat(findings)
        .extracting(Finding::what)
        .contains("user", "QEMU", "isolation", "memory", "disk", "guest image", "server")
        .doesNotHaveDuplicates();
  }

  @Test
  void what_is_not_well_comes_with_a_remedy() throws Exception {
    for (Finding finding :
        Examination.of(directory.resolve("not/there/yet"), directory, ExaminationTest::server)) {
      assertThat(finding.detail()).isNotBlank();
      if (finding.state() != Finding.State.OK) {
        assertThat(finding.remedy()).as(finding.what()).isNotBlank();
      }
    }
  }

  @Test
  void it_changes_nothing() throws Exception {
    Examination.of(directory.resolve("data"), directory.resolve("image"), ExaminationTest::server);
    try (Stream<Path> files = Files.list(directory)) {
      assertThat(files).isEmpty();
    }
  }

  @Test
  void the_guest_image_is_found_where_it_is() throws Exception {
    assertThat(
            find(Examination.of(directory, directory, ExaminationTest::server), "guest image")
                .state())
        .isEqualTo(Finding.State.NOTE);
    Files.writeString(directory.resolve("image.json"), "{}");
    assertThat(
            find(Examination.of(directory, directory, ExaminationTest::server), "guest image")
                .state())
        .isEqualTo(Finding.State.OK);
  }
}
