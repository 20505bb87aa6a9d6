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
}
