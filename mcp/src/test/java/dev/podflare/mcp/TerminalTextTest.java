package dev.podflare.mcp;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TerminalTextTest {

  private static TerminalText of(String... pieces) {
    TerminalText text = new TerminalText(1000);
    for (String piece : pieces) {
      text.append(piece);
    }
    return text;
  }

  /** In these, {@code ~} is the escape character, {@code <} a carriage return, {@code ^} a bell. */
  @ParameterizedTest
  @CsvSource(
      quoteCharacter = '"',
      value = {
        "a|b,a|b",
        "<10%<20%<100%,100%",
        "50%<,50%",
        "line<|next<|,line|next|",
        "<long text<ok|,ok|",
        "~[31mred~[0m,red",
        "~[1;38;5;196mred~[m|,red|",
        "~[2K<done,done",
        "10%<~[Kdone,done",
        "old~[2Knew,new",
        "a~]0;title^b,ab",
        "a~]8;;http://x~\\link~]8;;~\\b,alinkb",
        "~(Ba~=b~>c,abc",
        "~Pq#0~\\a,a",
        "a~]never|b,a|b",
        "a~[,a",
        "a^b,ab",
      })
  void onlyWhatATerminalShowsAtTheEndIsKept(String given, String kept) {
    assertThat(of(plain(given)).toString()).isEqualTo(plain(kept));
  }

  private static String plain(String text) {
    return text.replace('~', '\u001b').replace('<', '\r').replace('^', '\u0007').replace('|', '\n');
  }

  @Test
  void thePiecesInWhichItComesMakeNoDifference() {
    String whole = plain("~[1mhead~[0m|<1%<2%~]0;t^<3%|a~[31mb~[0mc<|".repeat(20));
    String expected = of(whole).toString();
    assertThat(expected).startsWith("head\n3%\nabc\n").hasSize(20 * "head\n3%\nabc\n".length());
    Random random = new Random(7);
    for (int i = 0; i < 100; i++) {
      TerminalText text = new TerminalText(1000);
      int at = 0;
      while (at < whole.length()) {
        int next = Math.min(whole.length(), at + 1 + random.nextInt(5));
        text.append(whole.substring(at, next));
        at = next;
      }
      assertThat(text.toString()).isEqualTo(expected);
    }
  }

  @Test
  void theLastLineIsTheOneThatIsDrawnNow() {
    assertThat(of("a\nb", "\rc").lastLine()).isEqualTo("c");
    assertThat(of("a\n \n").lastLine()).isEqualTo("a");
  }

  @Test
  void aLineWithoutEndIsKeptAtABoundedSize() {
    TerminalText text = new TerminalText(1000);
    for (int i = 0; i < 100; i++) {
      text.append("x".repeat(10_000));
    }
    assertThat(text.toString()).hasSizeLessThan(1200).contains("characters left out here");
  }
}
