package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class DocumentsTest {

  private static final Pattern PATH = Pattern.compile("^ {2}(/\\S*):$");
  private static final Pattern METHOD = Pattern.compile("^ {4}(get|put|post|delete|patch):$");

  @Test
  void theDescriptionHasEveryRouteAndNoOther() throws Exception {
    SandboxesInMemory sandboxes = new SandboxesInMemory();
    List<String> routes =
        HttpServer.routes(sandboxes, new ServerMetrics(sandboxes)).stream()
            .map(route -> route.method() + " " + route.path())
            .toList();

    assertThat(described()).containsExactlyInAnyOrderElementsOf(routes);
  }

  @Test
  void theDescriptionIsServedAsItStands() throws Exception {
    try (RunningServer server = RunningServer.withKeys()) {
      assertThat(server.get("/openapi.yaml").body().lines().toList()).isEqualTo(description());
    }
  }

  @ParameterizedTest
  @EnumSource
  void everyCodeStandsInTheListOfErrorsWithItsStatus(ErrorCode code) throws Exception {
    assertThat(Files.readString(Path.of("../docs/errors.md")))
        .contains("`" + code.word() + "` | " + code.status() + " |");
  }

  private static List<String> described() throws Exception {
    List<String> found = new ArrayList<>();
    String path = "";
    for (String line : description()) {
      Matcher pathLine = PATH.matcher(line);
      Matcher methodLine = METHOD.matcher(line);
      if (pathLine.matches()) {
        path = pathLine.group(1);
      } else if (methodLine.matches()) {
        found.add(methodLine.group(1).toUpperCase(Locale.ROOT) + " " + path);
      }
    }
    return found;
  }

  private static List<String> description() throws Exception {
    return Files.readAllLines(
        Path.of(Objects.requireNonNull(DocumentsTest.class.getResource("/openapi.yaml")).toURI()));
  }
}
