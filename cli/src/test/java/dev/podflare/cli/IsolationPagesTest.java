package dev.podflare.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.engine.Isolation;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** Keeps what the pages promise of isolation equal to what the program does. */
class IsolationPagesTest {

  private static final Path REPOSITORY = Path.of("..");

  /** The text of a page, its lines joined. */
  private static String text(String page) throws Exception {
    return Files.readString(REPOSITORY.resolve(page)).replaceAll("\\s+", " ");
  }

  @Test
  void the_readme_says_what_emulation_is_worth() throws Exception {
    assertThat(text("README.md")).contains(Isolation.EMULATED.promise());
  }

  @Test
  void the_page_says_it_of_both() throws Exception {
    for (Isolation isolation : Isolation.values()) {
      assertThat(text("docs/isolation.md")).contains(isolation.promise());
    }
  }
}
