package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.EngineException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HostDiskTest {

  @TempDir private Path directory;

  @Test
  void what_does_not_fit_is_refused_with_what_is_free_and_what_is_needed() {
    assertThatThrownBy(() -> HostDisk.requireRoom(1L << 60, directory))
        .isInstanceOfSatisfying(
            EngineException.class,
            e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.NO_ROOM))
        .hasMessageMatching(
            "the host's disk has \\d+ MB free, and the snapshot needs 1099511627792 MB");
  }

  @Test
  void what_takes_no_more_room_always_fits() {
    assertThatCode(() -> HostDisk.requireRoom(0, Path.of("/proc"))).doesNotThrowAnyException();
    assertThatCode(() -> HostDisk.requireRoom(-1, Path.of("/proc"))).doesNotThrowAnyException();
  }
}
