package dev.podflare.host;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.LongRange;

class ExtentTest {

  @Provide
  Arbitrary<List<Extent>> extents() {
    return Arbitraries.longs()
        .between(1, 9)
        .list()
        .ofMaxSize(8)
        .map(lengths -> {
          List<Extent> extents = new ArrayList<>();
          long at = 0;
          for (long length : lengths) {
            extents.add(new Extent(at, length));
            at += length + 2;
          }
          return extents;
        });
  }

  private static List<Long> offsets(List<Extent> extents) {
    return extents.stream()
        .flatMapToLong(extent -> LongStream.range(extent.offset(), extent.end()))
        .boxed()
        .toList();
  }

  @Property
  void what_comes_first_and_what_comes_after_are_all_bytes_in_their_order(
      @ForAll("extents") List<Extent> extents, @ForAll @LongRange(max = 80) long bytes) {
    List<Extent> first = Extent.first(bytes, extents);
    List<Long> all = offsets(extents);
    assertThat(Extent.bytes(extents)).isEqualTo(all.size());
    assertThat(Extent.bytes(first)).isEqualTo(Math.min(bytes, all.size()));
    List<Long> parts = new ArrayList<>(offsets(first));
    parts.addAll(offsets(Extent.after(bytes, extents)));
    assertThat(parts).isEqualTo(all);
  }

  @Property
  void what_is_taken_away_and_what_is_left_are_all_bytes(
      @ForAll("extents") List<Extent> extents, @ForAll List<Boolean> choices) {
    List<Extent> away = new ArrayList<>();
    for (int i = 0; i < Math.min(choices.size(), extents.size()); i++) {
      Extent extent = extents.get(i);
      long from = extent.length() / 3;
      if (choices.get(i)) {
        away.add(new Extent(extent.offset() + from, extent.length() - 2 * from));
      }
    }
    List<Extent> left = Extent.without(away, extents);
    List<Long> expected = new ArrayList<>(offsets(extents));
    expected.removeAll(offsets(away));
    assertThat(offsets(left)).isEqualTo(expected);
  }
}
