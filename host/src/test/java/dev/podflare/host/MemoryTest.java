package dev.podflare.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class MemoryTest {

  @Test
  void what_is_available_is_a_part_of_all() throws Exception {
    assertThat(Memory.total()).isGreaterThan(256L << 20);
    assertThat(Memory.available()).isBetween(1L, Memory.total());
  }

  @Test
  void what_a_process_writes_to_is_private_to_it() throws Exception {
    Process process =
        new ProcessBuilder(
                "python3",
                "-c",
                """
                print("small", flush=True)
                input()
                block = b"x" * (64 << 20)
                print("large", flush=True)
                input()
                """)
            .start();
    try {
      var said = process.inputReader();
      assertThat(said.readLine()).isEqualTo("small");
      long before = Memory.privateTo(process.pid());
      process.outputWriter().append("\n").flush();
      assertThat(said.readLine()).isEqualTo("large");
      assertThat(Memory.privateTo(process.pid()) - before).isBetween(64L << 20, 80L << 20);
    } finally {
      process.destroyForcibly();
    }
  }

  @Test
  void a_process_that_is_not_there_has_no_memory_to_tell_of() {
    assertThatThrownBy(() -> Memory.privateTo(Integer.MAX_VALUE))
        .isInstanceOf(HostException.class)
        .hasMessage("/proc/2147483647/smaps_rollup can't be read");
  }
}
