package dev.podflare.cli.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class InWordsTest {

  @ParameterizedTest
  @CsvSource({
    "-5, 0 s",
    "0, 0 s",
    "119, 119 s",
    "120, 2 min",
    "7199, 119 min",
    "7200, 2 h",
    "172800, 2 d",
  })
  void an_age_is_told_in_the_largest_unit_that_says_enough(long seconds, String words) {
    assertThat(InWords.age(Duration.ofSeconds(seconds))).isEqualTo(words);
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0 B",
    "1023, 1023 B",
    "1024, 1.0 KiB",
    "26109542, 24.9 MiB",
    "4294967296, 4.0 GiB",
    "9223372036854775807, 8388608.0 TiB",
  })
  void bytes_are_told_in_a_unit_that_is_short(long bytes, String words) {
    assertThat(InWords.bytes(bytes)).isEqualTo(words);
  }
}
