package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.qemu.MemoryMap.Piece;
import dev.podflare.host.Extent;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which layer each byte comes from, compared with a plain array of bytes. */
class MemoryMapTest {

  private static final int SIZE = 64;

  /** For each generation, the offsets that were written in it. */
  @Provide
  Arbitrary<List<Set<Integer>>> generations() {
    return Arbitraries.integers().between(0, SIZE - 1).set().ofMaxSize(40).list().ofMaxSize(12);
  }

  private static List<Extent> extents(Set<Integer> offsets) {
    List<Extent> extents = new ArrayList<>();
    for (int offset : new TreeSet<>(offsets)) {
      if (!extents.isEmpty() && extents.getLast().end() == offset) {
        Extent before = extents.removeLast();
        extents.add(new Extent(before.offset(), before.length() + 1));
      } else {
        extents.add(new Extent(offset, 1));
      }
    }
    return extents;
  }

  private static MemoryMap mapOf(List<Set<Integer>> generations) {
    MemoryMap map = MemoryMap.of(SIZE, 0);
    for (int i = 0; i < generations.size(); i++) {
      map = map.under(MemoryMap.pieces(extents(generations.get(i)), i + 1));
    }
    return map;
  }

  @Property
  void each_byte_comes_from_the_last_layer_that_has_it(
      @ForAll("generations") List<Set<Integer>> generations) {
    MemoryMap map = mapOf(generations);
    for (int offset = 0; offset < SIZE; offset++) {
      int layer = 0;
      long offsetInLayer = offset;
      for (int i = 0; i < generations.size(); i++) {
        if (generations.get(i).contains(offset)) {
          layer = i + 1;
          offsetInLayer = new TreeSet<>(generations.get(i)).headSet(offset).size();
        }
      }
      int at = offset;
      Piece piece =
          map.pieces().stream()
              .filter(one -> one.offset() <= at && at < one.end())
              .findFirst()
              .orElseThrow();
      assertThat(piece.layer()).isEqualTo(layer);
      assertThat(piece.offsetInLayer() + at - piece.offset()).isEqualTo(offsetInLayer);
    }
  }

  @Property
  void there_are_no_more_pieces_than_what_is_seen_has_edges(
      @ForAll("generations") List<Set<Integer>> generations) {
    MemoryMap map = mapOf(generations);
    assertThat(map.pieces().size()).isLessThanOrEqualTo(SIZE);
    for (int i = 1; i < map.pieces().size(); i++) {
      Piece before = map.pieces().get(i - 1);
      Piece piece = map.pieces().get(i);
      assertThat(
              piece.layer() == before.layer()
                  && piece.offsetInLayer() == before.offsetInLayer() + before.length())
          .isFalse();
    }
  }

  @Property
  void it_is_read_as_it_was_written(@ForAll("generations") List<Set<Integer>> generations)
      throws IOException {
    Path file = Files.createTempFile("memory", ".map");
    try {
      MemoryMap map = mapOf(generations);
      map.writeTo(file);
      assertThat(MemoryMap.read(file)).isEqualTo(map);
    } finally {
      Files.delete(file);
    }
  }

  @Test
  void a_file_that_was_cut_or_is_something_else_is_refused(@TempDir Path directory)
      throws Exception {
    Path file = directory.resolve("memory.map");
    MemoryMap.of(SIZE, 0).under(MemoryMap.pieces(List.of(new Extent(8, 8)), 1)).writeTo(file);
    byte[] whole = Files.readAllBytes(file);
    for (int length = 0; length < whole.length; length++) {
      Files.write(file, java.util.Arrays.copyOf(whole, length));
      assertThatThrownBy(() -> MemoryMap.read(file)).isInstanceOf(IOException.class);
    }
    whole[15] ^= 1;
    Files.write(file, whole);
    assertThatThrownBy(() -> MemoryMap.read(file)).hasMessageContaining("not a memory map");
  }

  @Test
  void layers_that_nothing_is_seen_of_are_not_needed() {
    MemoryMap map =
        MemoryMap.of(SIZE, 0)
            .under(MemoryMap.pieces(List.of(new Extent(8, 8)), 1))
            .under(MemoryMap.pieces(List.of(new Extent(0, 32)), 2));
    assertThat(map.layers()).containsExactly(0, 2);
    assertThat(map.nextLayer()).isEqualTo(3);
  }
}
