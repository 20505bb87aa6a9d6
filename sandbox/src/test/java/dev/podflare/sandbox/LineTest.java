package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Instant;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;

class LineTest {

  private static final Line.Cut FIRST = new Line.Cut("a", Instant.ofEpochSecond(100, 1));
  private static final Line.Cut SECOND = new Line.Cut("b", Instant.ofEpochSecond(200, 2));
  private static final Line.Cut THIRD = new Line.Cut("c", Instant.ofEpochSecond(300, 3));

  private static Line line(Line.Cut... cuts) {
    Line line = Line.ORIGIN;
    for (Line.Cut cut : cuts) {
      line = line.with(cut);
    }
    return line;
  }

  @Test
  void a_child_parts_from_its_parent_when_it_is_cut() {
    assertThat(line().partedFrom(line(FIRST))).contains(FIRST.at());
    assertThat(line(FIRST).partedFrom(line(FIRST, SECOND))).contains(SECOND.at());
  }

  @Test
  void children_of_one_cut_part_at_it() {
    assertThat(line(FIRST).partedFrom(line(FIRST))).contains(FIRST.at());
  }

  @Test
  void children_of_two_cuts_part_at_the_earlier() {
    assertThat(line(FIRST).partedFrom(line(SECOND))).contains(FIRST.at());
    assertThat(line(SECOND).partedFrom(line(FIRST))).contains(FIRST.at());
  }

  @Test
  void cousins_part_where_their_forebears_did() {
    assertThat(line(FIRST, SECOND).partedFrom(line(FIRST, THIRD))).contains(SECOND.at());
    assertThat(line(FIRST, THIRD).partedFrom(line(SECOND))).contains(FIRST.at());
  }

  @Test
  void machines_of_two_templates_never_were_one() {
    assertThat(line().partedFrom(line())).isEmpty();
  }

  @Provide
  Arbitrary<Line> lines() {
    return Arbitraries.longs()
        .between(0, Long.MAX_VALUE)
        .map(nanos -> new Line.Cut("c" + nanos % 5, Instant.EPOCH.plusNanos(nanos)))
        .list()
        .ofMaxSize(6)
        .map(Line::new);
  }

  @Property
  void what_is_written_is_read(@ForAll("lines") Line line) {
    assertThat(Line.parse(line.text())).isEqualTo(line);
  }

  @Property
  void parting_is_mutual(@ForAll("lines") Line one, @ForAll("lines") Line other) {
    assertThat(one.partedFrom(other)).isEqualTo(other.partedFrom(one));
  }

  @Test
  void what_is_no_line_is_refused() {
    for (String text : new String[] {"x", "@1", "a@", "a@1 ", "a@b"}) {
      assertThatThrownBy(() -> Line.parse(text)).isInstanceOf(IllegalArgumentException.class);
    }
  }
}
