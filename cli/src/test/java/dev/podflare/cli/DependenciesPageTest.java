package dev.podflare.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** Keeps docs/dependencies.md true: the page repeats versions that the parent pom.xml decides. */
class DependenciesPageTest {
  private static final Path REPOSITORY = Path.of("..");
  private static final Pattern VERSION_PROPERTY =
      Pattern.compile("<[A-Za-z]+\\.version>([^<]+)</[A-Za-z]+\\.version>");

  @Test
  void theDependenciesPageNamesEveryVersionThatIsBuiltWith() throws IOException {
    var page = Files.readString(REPOSITORY.resolve("docs/dependencies.md"));
    var pom = Files.readString(REPOSITORY.resolve("pom.xml"));

    var versions = VERSION_PROPERTY.matcher(pom).results().map(found -> found.group(1)).toList();

    assertThat(versions)
        .isNotEmpty()
        .allSatisfy(version -> assertThat(page).contains("| " + version + " |"));
  }
}
