package dev.podflare.mcp;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Keeps docs/mcp.md equal to what models are told. */
class PageTest {

  private static final Path PAGE = Path.of("../docs/mcp.md");
  private static final Pattern LISTED_TOOL = Pattern.compile("(?m)^\\| `([a-z_]+)\\(");

  @Test
  void everyToolIsListedWithItsArguments() throws Exception {
    String page = Files.readString(PAGE);
    for (ToolSpec tool : SessionServer.TOOLS.all()) {
      String arguments =
          tool.parameters().stream()
              .map(parameter -> parameter.name() + (parameter.required() ? "" : "?"))
              .collect(Collectors.joining(", "));
      assertThat(page).contains("| `" + tool.name() + "(" + arguments + ")` |");
    }
    Set<String> names =
        SessionServer.TOOLS.all().stream().map(ToolSpec::name).collect(Collectors.toSet());
    assertThat(LISTED_TOOL.matcher(page).results().map(found -> found.group(1)))
        .containsExactlyInAnyOrderElementsOf(names);
  }

  @ParameterizedTest
  @EnumSource
  void everyTroubleIsListedInTheWordsThatModelsRead(Trouble trouble) throws Exception {
    assertThat(Files.readString(PAGE))
        .contains(row("`" + trouble.code() + "`", trouble.what(), trouble.why(), trouble.next()));
  }

  @ParameterizedTest
  @EnumSource
  void everyEndingIsListedInTheWordsThatModelsRead(Ending ending) throws Exception {
    assertThat(Files.readString(PAGE))
        .contains(
            row(
                "`" + ending.name().toLowerCase(java.util.Locale.ROOT) + "`",
                ending.what(),
                ending.why(),
                ending.next()));
  }

  @Test
  void noTroubleIsListedThatIsNone() throws Exception {
    List<String> known =
        List.of(
                Arrays.stream(Trouble.values()).map(Trouble::code).toList(),
                Arrays.stream(Ending.values())
                    .map(ending -> ending.name().toLowerCase(java.util.Locale.ROOT))
                    .toList())
            .stream()
            .flatMap(List::stream)
            .toList();
    assertThat(
            Pattern.compile("(?m)^\\| `([a-z_]+)` \\|")
                .matcher(Files.readString(PAGE))
                .results()
                .map(found -> found.group(1)))
        .containsExactlyInAnyOrderElementsOf(known);
  }

  private static String row(String... cells) {
    return "| " + String.join(" | ", cells) + " |";
  }
}
