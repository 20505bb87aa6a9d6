package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SpareLayerTest {

  @TempDir private Path directory;

  /** There is no event to wait for: nobody but a cut wants it, and a cut does not wait. */
  private static boolean eventuallyBecomes(SpareLayer spare, Path to) throws Exception {
    long end = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    while (System.nanoTime() < end) {
      if (spare.becomes(to)) {
        return true;
      }
      Thread.onSpinWait();
    }
    return false;
  }

  @Test
  void it_is_given_away_whole_and_made_anew() throws Exception {
    try (SpareLayer spare = new SpareLayer(directory.resolve("spare"))) {
      for (int i = 0; i < 2; i++) {
        Path layer = directory.resolve("layer-" + i);
        assertThat(eventuallyBecomes(spare, layer)).isTrue();
        assertThat(Files.size(layer)).isEqualTo(SpareLayer.BYTES);
        assertThat(spare.becomes(directory.resolve("next"))).isFalse();
      }
    }
  }

  @Test
  void what_a_crash_left_is_replaced_and_nothing_is_left_when_it_is_closed() throws Exception {
    Path file = Files.writeString(directory.resolve("spare"), "half");
    Path layer = directory.resolve("layer");
    try (SpareLayer spare = new SpareLayer(file)) {
      assertThat(eventuallyBecomes(spare, layer)).isTrue();
      assertThat(Files.size(layer)).isEqualTo(SpareLayer.BYTES);
    }
    assertThat(file).doesNotExist();
  }
}
