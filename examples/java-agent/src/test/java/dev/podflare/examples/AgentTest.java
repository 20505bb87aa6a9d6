package dev.podflare.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * The agent, with a fake of the model's API and a real sandbox of the server that the SDK finds.
 */
@Tag("live")
class AgentTest {
  private static final Path FAKE = Path.of("../../sdk/conformance/messages_api.py");
  private static final String JAVA =
      Path.of(System.getProperty("java.home"), "bin/java").toString();

  @TempDir private Path folder;

  @Test
  @Timeout(180)
  void it_answers_a_question_and_leaves_its_figure() throws Exception {
    Files.writeString(folder.resolve("squares.csv"), "1\n4\n9\n");
    Process fake = new ProcessBuilder("python3", FAKE.toAbsolutePath().toString()).start();
    try (BufferedReader told = fake.inputReader()) {
      Path out = folder.resolve("out");
      Path err = folder.resolve("err");
      ProcessBuilder agent =
          new ProcessBuilder(
              JAVA,
              "-cp",
              System.getProperty("java.class.path"),
              Agent.class.getName(),
              "How do the squares go on?",
              "squares.csv");
      agent.environment().put("ANTHROPIC_API_KEY", "a-key");
      agent.environment().put("ANTHROPIC_BASE_URL", told.readLine() + "/picture");
      Process running =
          agent
              .directory(folder.toFile())
              .redirectOutput(out.toFile())
              .redirectError(err.toFile())
              .start();
      boolean ended = running.waitFor(150, TimeUnit.SECONDS);
      running.destroyForcibly();
      assertThat(ended).as("it ended in time: %s", Files.readString(err)).isTrue();
      assertThat(running.exitValue()).as(Files.readString(err)).isZero();
      assertThat(Files.readString(out)).isEqualTo("It rises.\n");
      assertThat(Files.readString(err)).contains("[figure → figure-1.png]");
      assertThat(Files.readAllBytes(folder.resolve("figure-1.png")))
          .startsWith(0x89, 'P', 'N', 'G');
    } finally {
      fake.destroy();
    }
  }
}
