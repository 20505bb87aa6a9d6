package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.MachineShape;
import dev.podflare.host.ProcessIdentity;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.AlphaChars;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JournalTest {

  private static final MachineShape SHAPE = new MachineShape(2, 512, 256);

  private static final Journal SOME =
      new Journal(17, 4242, SHAPE, new ProcessIdentity(4711, 123_456_789, "5e6f4b1e-boot"), true);

  @TempDir private Path directory;

  @Property
  void what_is_written_is_read(
      @ForAll @IntRange(max = 4095) int lease,
      @ForAll @LongRange(min = 1) long pid,
      @ForAll @LongRange(min = 0) long ticks,
      @ForAll @AlphaChars String boot)
      throws Exception {
    Path file = Files.createTempFile("journal", ".json");
    try {
      for (Journal journal :
          new Journal[] {
            new Journal(lease, null, null, null, false),
            new Journal(lease, 4242, SHAPE, new ProcessIdentity(pid, ticks, boot), true)
          }) {
        journal.writeTo(file);
        assertThat(Journal.read(file)).contains(journal);
      }
    } finally {
      Files.delete(file);
    }
  }

  @Test
  void a_later_journal_replaces_the_earlier_and_leaves_nothing_beside_it() throws Exception {
    Path file = directory.resolve("journal.json");
    new Journal(17, null, SHAPE, null, false).writeTo(file);
    SOME.writeTo(file);
    assertThat(Journal.read(file)).contains(SOME);
    try (Stream<Path> files = Files.list(directory)) {
      assertThat(files).containsExactly(file);
    }
  }

  @Test
  void no_journal_is_no_damage() throws Exception {
    assertThat(Journal.read(directory.resolve("none"))).isEmpty();
  }

  @Test
  void a_journal_that_was_cut_is_told_from_a_whole_one() throws Exception {
    Path file = directory.resolve("journal.json");
    SOME.writeTo(file);
    String whole = Files.readString(file);
    for (int length = 0; length < whole.length(); length++) {
      Files.writeString(file, whole.substring(0, length));
      assertThatThrownBy(() -> Journal.read(file))
          .as("the first %d characters", length)
          .isInstanceOf(IOException.class)
          .hasMessageEndingWith("is not a journal");
    }
  }

  @Test
  void
      one_of_a_server_that_could_not_fork_monitors_names_what_to_give_back_and_nothing_to_take_over()
          throws Exception {
    Path file =
        Files.writeString(
            directory.resolve("journal.json"),
            "{\"lease\":17,\"shape\":{\"cpus\":2,\"memoryMiB\":512,\"diskMiB\":256},"
                + "\"process\":{\"pid\":4711,\"startTicks\":123456789,"
                + "\"bootId\":\"5e6f4b1e-boot\"},\"complete\":true}");
    assertThat(Journal.read(file)).contains(new Journal(17, null, SHAPE, SOME.process(), false));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{}",
        "null",
        "[]",
        "{\"lease\":null,\"process\":null}",
        "{\"lease\":\"x\"}",
        "{\"process\":{\"pid\":1,\"startTicks\":2,\"bootId\":\"b\"}}",
        "{\"lease\":1,\"process\":{}}",
        "{\"lease\":1,\"process\":{\"pid\":1,\"bootId\":\"b\"}}"
      })
  void a_journal_that_does_not_name_what_is_held_is_damaged(String text) throws Exception {
    Path file = Files.writeString(directory.resolve("journal.json"), text);
    // Taken for lease 0 or process 0, it would give back what another microVM holds.
    assertThatThrownBy(() -> Journal.read(file))
        .isInstanceOf(IOException.class)
        .hasMessageEndingWith("is not a journal");
  }
}
