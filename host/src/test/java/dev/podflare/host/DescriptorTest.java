package dev.podflare.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DescriptorTest {

  private static final int CLOSE_ON_EXEC = 02000000;
  private static final int APPEND = 02000;

  @TempDir private Path directory;

  private Path file(String name, String content) throws IOException {
    return Files.writeString(directory.resolve(name), content);
  }

  /** Of fcntl(2). */
  private static int flags(Descriptor descriptor) throws IOException {
    String info = Files.readString(Path.of("/proc/self/fdinfo/" + descriptor.number()));
    Matcher flags = Pattern.compile("flags:\\s+(\\d+)").matcher(info);
    assertThat(flags.find()).isTrue();
    return Integer.parseInt(flags.group(1), 8);
  }

  private static void write(Descriptor descriptor, String text) throws IOException {
    try (FileChannel channel = FileChannel.open(descriptor.path(), StandardOpenOption.WRITE)) {
      channel.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)));
    }
  }

  // ---- one of them ----

  @Test
  void it_is_open_until_it_is_closed_and_no_program_inherits_it() throws Exception {
    Descriptor descriptor = Descriptor.open(file("file", "content"), Descriptor.Access.READ);
    Path shown = descriptor.path();
    assertThat(flags(descriptor) & CLOSE_ON_EXEC).isPositive();
    assertThat(descriptor.size()).isEqualTo(7);
    assertThat(Files.readString(shown)).isEqualTo("content");
    descriptor.close();
    assertThat(shown).doesNotExist();
  }

  @Test
  void closing_it_twice_does_not_close_another_one() throws Exception {
    Descriptor first = Descriptor.open(file("first", ""), Descriptor.Access.READ);
    first.close();
    try (Descriptor second = Descriptor.open(file("second", "2"), Descriptor.Access.READ)) {
      first.close();
      assertThat(second.size()).isEqualTo(1);
    }
    assertThatThrownBy(first::number)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("is closed");
  }

  // ---- by a path of the server ----

  @Test
  void a_file_that_must_be_new_is_made_for_its_owner_only() throws Exception {
    Path made = directory.resolve("made");
    try (Descriptor descriptor = Descriptor.open(made, Descriptor.Access.CREATE)) {
      write(descriptor, "content");
    }
    assertThat(made).hasContent("content");
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(made)))
        .isEqualTo("rw-------");
    assertThatThrownBy(() -> Descriptor.open(made, Descriptor.Access.CREATE))
        .isInstanceOf(FileAlreadyExistsException.class);
    assertThatThrownBy(() -> Descriptor.open(made, Descriptor.Access.CREATE_APPEND))
        .isInstanceOf(FileAlreadyExistsException.class);
  }

  @Test
  void what_is_opened_to_append_is_never_written_over() throws Exception {
    try (Descriptor made =
            Descriptor.open(directory.resolve("made"), Descriptor.Access.CREATE_APPEND);
        Descriptor found = Descriptor.open(file("found", "x"), Descriptor.Access.APPEND)) {
      assertThat(flags(made) & APPEND).isPositive();
      assertThat(flags(found) & APPEND).isPositive();
    }
  }

  @Test
  void a_file_that_is_not_there_is_not_made() {
    for (Descriptor.Access access :
        new Descriptor.Access[] {
          Descriptor.Access.READ,
          Descriptor.Access.WRITE,
          Descriptor.Access.READ_WRITE,
          Descriptor.Access.APPEND
        }) {
      assertThatThrownBy(() -> Descriptor.open(directory.resolve("none"), access))
          .isInstanceOf(NoSuchFileException.class)
          .hasMessageEndingWith("none");
    }
    assertThat(directory).isEmptyDirectory();
  }

  @Test
  void a_symbolic_link_at_the_end_is_not_followed() throws Exception {
    Path link = Files.createSymbolicLink(directory.resolve("link"), file("file", "content"));
    assertThatThrownBy(() -> Descriptor.open(link, Descriptor.Access.READ))
        .isInstanceOf(FileSystemException.class)
        .hasMessageContaining(link + ": there is a symbolic link");
    assertThatThrownBy(() -> Descriptor.open(link, Descriptor.Access.CREATE))
        .isInstanceOf(FileAlreadyExistsException.class);
  }

  @Test
  void a_failure_says_why() {
    assertThatThrownBy(() -> Descriptor.open(directory, Descriptor.Access.WRITE))
        .isInstanceOf(FileSystemException.class)
        .hasMessage(directory + ": Is a directory");
  }

  // ---- copies ----

  /** Content at the begin, in the middle and maybe at the end of a file that is mostly holes. */
  private Path sparse(Path place, long size) throws IOException {
    try (FileChannel channel =
        FileChannel.open(place, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      for (long at : new long[] {0, 8 << 20, (8 << 20) + 300_000, size - 5}) {
        channel.write(ByteBuffer.wrap(("at " + (at % 10)).getBytes(StandardCharsets.UTF_8)), at);
      }
    }
    return place;
  }

  private void copyBetween(Path source, Path target) throws IOException {
    try (Descriptor from = Descriptor.open(source, Descriptor.Access.READ);
        Descriptor to = Descriptor.open(target, Descriptor.Access.READ_WRITE)) {
      assertThat(from.copyTo(to)).isEqualTo(Files.size(source)).isEqualTo(to.size());
    }
    assertThat(Files.mismatch(source, target)).isEqualTo(-1);
    assertThat(SparseFile.content(target)).isEqualTo(SparseFile.content(source));
  }

  @Test
  void a_copy_has_the_content_and_the_holes() throws Exception {
    copyBetween(
        sparse(directory.resolve("source"), 40 << 20), file("target", "what it held before"));
  }

  @Test
  void a_copy_to_another_file_system_too() throws Exception {
    Path elsewhere = Files.createTempDirectory(Path.of("/dev/shm"), "descriptor-test-");
    try {
      assertThat(Files.getFileStore(elsewhere)).isNotEqualTo(Files.getFileStore(directory));
      Path source = sparse(elsewhere.resolve("source"), 40 << 20);
      copyBetween(source, file("target", "what it held before"));
      Files.delete(source);
    } finally {
      Files.delete(elsewhere);
    }
  }

  @Test
  void what_ends_in_a_hole_or_is_empty_is_copied_as_it_is() throws Exception {
    Path source = file("source", "content");
    try (FileChannel channel = FileChannel.open(source, StandardOpenOption.WRITE)) {
      channel.write(ByteBuffer.wrap(new byte[1]), (4 << 20) - 1);
      channel.truncate(3 << 20);
    }
    copyBetween(source, file("target", ""));
    copyBetween(file("empty", ""), file("other", "what it held before"));
  }

  @Test
  void a_copy_that_can_not_be_written_says_why() throws Exception {
    try (Descriptor from = Descriptor.open(file("source", "content"), Descriptor.Access.READ);
        Descriptor to = Descriptor.open(file("target", ""), Descriptor.Access.READ)) {
      assertThatThrownBy(() -> from.copyTo(to))
          .isInstanceOf(IOException.class)
          .hasMessageStartingWith("ftruncate: ");
    }
  }
}
