package dev.podflare.sdk;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Carries the conformance suite of all SDKs out against a real server: the one that the SDK finds.
 * {@code sdk/conformance/README.md} says what the words of the cases mean. The system property
 * {@code conformance.filter} leaves only the cases whose file or name contains it.
 */
@Tag("conformance")
class ConformanceTest {
  private static final String CASES =
      System.getProperty("conformance.cases", "../conformance/cases");
  private static final String FILTER = System.getProperty("conformance.filter", "");

  @Test
  @Timeout(1800)
  void everyCaseHolds() throws Exception {
    int passed = 0;
    List<String> failures = new ArrayList<>();
    for (Path file : files()) {
      for (Fields each : cases(file)) {
        String name = file.getFileName().toString().replace(".json", "") + ": " + each.text("name");
        if (!name.contains(FILTER)) {
          continue;
        }
        long began = System.nanoTime();
        String failure = failureOf(each);
        if (failure == null) {
          passed++;
          System.out.printf("passed %s (%.1f s)%n", name, (System.nanoTime() - began) / 1e9);
        } else {
          failures.add(name + ": " + failure);
          System.out.printf("FAILED %s: %s%n", name, failure);
        }
      }
    }
    System.out.printf("%d passed, %d failed%n", passed, failures.size());
    assertThat(failures).isEmpty();
    assertThat(passed).isPositive();
  }

  private static String failureOf(Fields each) throws InterruptedException {
    try {
      new ConformanceCase(each.list("steps"), new ConformanceOperations()).run();
      return null;
    } catch (ConformanceCase.Mismatch | PodflareException | IllegalStateException failure) {
      return failure.getMessage();
    }
  }

  private static List<Path> files() throws IOException {
    try (Stream<Path> all = Files.list(Path.of(CASES))) {
      return all.filter(file -> file.toString().endsWith(".json")).sorted().toList();
    }
  }

  private static List<Fields> cases(Path file) throws IOException {
    Map<String, Object> read = Json.read(Files.readAllBytes(file));
    return new Fields(read).list("cases");
  }
}
