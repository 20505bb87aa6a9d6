package dev.podflare.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The memory of a real process that maps a file privately and writes to some of it. Needs root. */
class ProcessMemoryTest {

  private static final int PAGES = 6000;
  private static final int PAGE = ProcessMemory.PAGE;

  /** Reads page 5 only, writes to pages 7, 8, 20 and 5999, and zeros pages 100 to 119. */
  private static final String PROGRAM =
      """
      import ctypes, mmap, sys
      file = open(sys.argv[1], 'r+b')
      memory = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE)
      memory[5 * 4096]
      for page in (7, 8, 20, 5999):
          memory[page * 4096] = 120
      memory[100 * 4096:120 * 4096] = bytes(20 * 4096)
      print(ctypes.addressof(ctypes.c_char.from_buffer(memory)), flush=True)
      sys.stdin.read()
      """;

  @TempDir private Path directory;
  private Process process;
  private ProcessMemory memory;

  @BeforeEach
  void start() throws Exception {
    Path file = directory.resolve("image");
    byte[] content = new byte[PAGES * PAGE];
    java.util.Arrays.fill(content, (byte) 'i');
    Files.write(file, content);
    process =
        new ProcessBuilder("/usr/bin/python3", "-c", PROGRAM, file.toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    BufferedReader said = process.inputReader();
    long address = Long.parseLong(said.readLine());
    memory = new ProcessMemory(process.pid(), address, (long) PAGES * PAGE);
  }

  @AfterEach
  void stop() throws Exception {
    process.destroyForcibly();
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
  }

  private static Extent pages(long first, long count) {
    return new Extent(first * PAGE, count * PAGE);
  }

  @Test
  void only_pages_that_were_written_are_its_own() throws Exception {
    assertThat(memory.written(0))
        .containsExactly(pages(7, 2), pages(20, 1), pages(100, 20), pages(5999, 1));
  }

  @Test
  void pages_that_are_near_are_taken_together() throws Exception {
    assertThat(memory.written(11)).containsExactly(pages(7, 14), pages(100, 20), pages(5999, 1));
  }

  @Test
  void an_old_kernel_is_read_and_tells_the_same() throws Exception {
    PageScan scan = new PageScan(memory.pid(), memory.address(), memory.length());
    List<Long> read = scan.byReading().stream().map(Extent::offset).toList();
    scan.byAsking()
        .ifPresent(asked ->
            assertThat(
                    asked.stream()
                        .flatMap(one ->
                            java.util.stream.LongStream.range(one.offset(), one.end()).boxed()))
                .containsExactlyElementsOf(read));
    assertThat(read).hasSize(24).startsWith(7L, 8L, 20L).endsWith(5999L);
  }

  @Test
  void their_content_is_copied_one_after_the_other() throws Exception {
    byte[] bytes = copied(List.of(pages(8, 2), pages(20, 1)));
    assertThat(bytes).hasSize(3 * PAGE);
    assertThat(bytes[0]).isEqualTo((byte) 'x');
    assertThat(bytes[1]).isEqualTo((byte) 'i');
    assertThat(bytes[PAGE]).isEqualTo((byte) 'i');
    assertThat(bytes[2 * PAGE]).isEqualTo((byte) 'x');
  }

  @Test
  void many_and_long_extents_are_copied_whole() throws Exception {
    List<Extent> extents = new ArrayList<>();
    for (int page = 0; page < 1400; page += 2) {
      extents.add(pages(page, 1));
    }
    extents.add(pages(1500, 4500));
    byte[] bytes = copied(extents);
    int at = 0;
    for (Extent extent : extents) {
      for (long page = extent.offset() / PAGE; page < extent.end() / PAGE; page++) {
        assertThat(bytes[at]).as("page " + page).isEqualTo(firstByteOf(page));
        assertThat(bytes[at + PAGE - 1]).as("page " + page).isEqualTo(lastByteOf(page));
        at += PAGE;
      }
    }
    assertThat(at).isEqualTo(bytes.length);
  }

  private static byte firstByteOf(long page) {
    return (byte) (page == 8 || page == 20 || page == 5999 ? 'x' : lastByteOf(page));
  }

  private static byte lastByteOf(long page) {
    return (byte) (page >= 100 && page < 120 ? 0 : 'i');
  }

  @Test
  void a_process_that_is_gone_can_not_be_copied() throws Exception {
    stop();
    assertThatThrownBy(() -> copied(List.of(pages(8, 2)))).isInstanceOf(IOException.class);
  }

  private byte[] copied(List<Extent> extents) throws IOException {
    Path file = directory.resolve("copy");
    try (FileChannel to =
        FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      memory.copy(extents, to, 0);
    }
    return Files.readAllBytes(file);
  }

  @Test
  void long_runs_of_zeros_are_found() throws Exception {
    assertThat(memory.zeros(memory.written(11), 16)).containsExactly(pages(100, 20));
    assertThat(memory.zeros(memory.written(11), 21)).isEmpty();
  }
}
