package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.engine.qemu.MemoryMap.Piece;
import dev.podflare.host.Extent;
import dev.podflare.host.SparseFile;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LayerFilesTest {

  private static final int PAGE = 4096;
  private static final long LONG = LayerFiles.WORTH_A_MAPPING;

  @TempDir private Path directory;

  private LayerFiles withBase(long size, long... pagesWithContent) throws IOException {
    LayerFiles layers = new LayerFiles(directory);
    try (RandomAccessFile base = new RandomAccessFile(layers.memory(0).toFile(), "rw")) {
      base.setLength(size);
      for (long at : pagesWithContent) {
        base.seek(at);
        base.write(new byte[] {1});
      }
      base.getChannel().force(true);
    }
    return layers;
  }

  @Test
  void a_long_hole_in_a_base_image_is_memory_without_content() throws IOException {
    long second = PAGE + LONG;
    LayerFiles layers = withBase(second + PAGE + LONG, 0, second);
    assertThat(layers.mapOfBase().pieces())
        .containsExactly(
            new Piece(0, PAGE, 0, 0),
            new Piece(PAGE, LONG, MemoryMap.ZERO, 0),
            new Piece(second, PAGE, 0, second),
            new Piece(second + PAGE, LONG, MemoryMap.ZERO, 0));
  }

  @Test
  void a_short_hole_in_a_base_image_is_filled_and_changes_no_byte() throws IOException {
    long size = 2L * PAGE + LONG - PAGE;
    LayerFiles layers = withBase(size, 0, size - PAGE);
    byte[] before = Files.readAllBytes(layers.memory(0));
    assertThat(layers.mapOfBase()).isEqualTo(MemoryMap.of(size, 0));
    assertThat(Files.readAllBytes(layers.memory(0))).isEqualTo(before);
    assertThat(SparseFile.content(layers.memory(0))).containsExactly(new Extent(0, size));
  }
}
