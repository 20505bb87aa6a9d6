package dev.podflare.guest;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;

class TextDecoderTest {

  @Property
  void textComesOutWholeHoweverItsBytesAreCut(
      @ForAll String text, @ForAll List<@IntRange(max = 7) Integer> cuts) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    assertThat(decodeInPieces(bytes, cuts)).isEqualTo(new String(bytes, StandardCharsets.UTF_8));
  }

  @Property
  void anyBytesDecodeToTheSameTextHoweverTheyAreCut(
      @ForAll("awkwardBytes") byte[] bytes, @ForAll List<@IntRange(max = 5) Integer> cuts) {
    assertThat(decodeInPieces(bytes, cuts)).isEqualTo(new String(bytes, StandardCharsets.UTF_8));
  }

  @Provide
  Arbitrary<byte[]> awkwardBytes() {
    Arbitrary<Byte> leads =
        Arbitraries.of(0x41, 0x80, 0xBF, 0xC3, 0xE0, 0xE2, 0xED, 0xA0, 0xF0, 0x9F, 0xF4, 0xFF)
            .map(Integer::byteValue);
    return Arbitraries.oneOf(leads, Arbitraries.bytes()).array(byte[].class).ofMaxSize(40);
  }

  @Example
  void aCharacterThatNeverBecomesWholeIsReplacedAtTheEnd() {
    var decoder = new TextDecoder();
    assertThat(decoder.decode(ByteBuffer.wrap(new byte[] {'a', (byte) 0xE2, (byte) 0x82})))
        .isEqualTo("a");
    assertThat(decoder.end()).isEqualTo("\uFFFD");
    assertThat(decoder.end()).isEmpty();
  }

  private static String decodeInPieces(byte[] bytes, List<Integer> cuts) {
    var decoder = new TextDecoder();
    var text = new StringBuilder();
    int from = 0;
    for (int cut : cuts) {
      int length = Math.min(cut, bytes.length - from);
      text.append(decoder.decode(ByteBuffer.wrap(bytes, from, length)));
      from += length;
    }
    text.append(decoder.decode(ByteBuffer.wrap(bytes, from, bytes.length - from)));
    return text.append(decoder.end()).toString();
  }
}
