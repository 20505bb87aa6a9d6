package dev.podflare.mcp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class LineReaderTest {

  private static LineReader of(String text, int limit) {
    return new LineReader(new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)), limit);
  }

  private static Optional<String> next(LineReader reader) throws Exception {
    return reader.next().map(line -> new String(line, StandardCharsets.UTF_8));
  }

  @Test
  void blankLinesAreNothingAndTheLastNeedsNoEnd() throws Exception {
    LineReader reader = of("a\n\r\n \nb", 10);
    assertThat(next(reader)).hasValue("a");
    assertThat(next(reader)).hasValue("b");
    assertThat(next(reader)).isEmpty();
    assertThat(next(reader)).isEmpty();
  }

  @Test
  void aLineOfManyBuffersIsWhole() throws Exception {
    String line = "é".repeat(200_000);
    LineReader reader = of(line + "\nx\n", 1 << 20);
    assertThat(next(reader)).hasValue(line);
    assertThat(next(reader)).hasValue("x");
  }

  @Test
  void aLineThatIsTooLongIsPassedOver() throws Exception {
    LineReader reader = of("x".repeat(300_000) + "\nb\n", 200_000);
    assertThatThrownBy(reader::next).isInstanceOf(LineReader.TooLong.class);
    assertThat(next(reader)).hasValue("b");
    assertThat(next(of("12345", 5))).hasValue("12345");
    assertThatThrownBy(of("123456", 5)::next).isInstanceOf(LineReader.TooLong.class);
  }
}
