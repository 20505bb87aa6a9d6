package dev.podflare.mcp;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;

class ClippedTextTest {

  private static ClippedText of(int limit, String... pieces) {
    ClippedText text = new ClippedText(limit);
    for (String piece : pieces) {
      text.append(piece);
    }
    return text;
  }

  @Test
  void textWithinTheLimitIsKeptAsItIs() {
    assertThat(of(10, "abc", "", "defg", "hij").toString()).isEqualTo("abcdefghij");
    assertThat(of(10).isEmpty()).isTrue();
  }

  @Test
  void ofLongerTextTheBeginAndTheEndAreKept() {
    assertThat(of(4, "abcdefg").toString())
        .startsWith("ab\n[… 3 characters left out here.")
        .endsWith("…]\nfg");
  }

  @Test
  void thePiecesInWhichItComesMakeNoDifference() {
    Random random = new Random(7);
    String whole = "0123456789".repeat(50);
    String expected = of(60, whole).toString();
    for (int i = 0; i < 200; i++) {
      ClippedText text = new ClippedText(60);
      int at = 0;
      while (at < whole.length()) {
        int next = Math.min(whole.length(), at + 1 + random.nextInt(90));
        text.append(whole.substring(at, next));
        at = next;
      }
      assertThat(text.toString()).isEqualTo(expected);
    }
  }

  @Test
  void noCharacterIsCutInTwo() {
    String text = of(6, "😀".repeat(20)).toString();
    assertThat(Json.wellFormed(text)).isEqualTo(text);
  }

  @Test
  void theLastLineIsTheOneThatSaysSomething() {
    assertThat(of(100, "a\n b \n\n  \n").lastLine()).isEqualTo("b");
    assertThat(of(100).lastLine()).isEmpty();
  }
}
