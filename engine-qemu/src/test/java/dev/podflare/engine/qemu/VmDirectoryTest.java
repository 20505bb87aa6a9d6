package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.MicroVmId;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class VmDirectoryTest {

  private static final int USER = 1_878_999_999;

  @TempDir private Path parent;
  private VmDirectory directory;

  @BeforeEach
  void create() throws Exception {
    directory = new VmDirectory(parent.resolve(MicroVmId.random().value()));
    directory.create();
  }

  @Test
  void nobody_but_the_server_may_look_into_it() throws Exception {
    for (Path path :
        new Path[] {directory.path(), directory.jailRoot(), directory.layers().directory()}) {
      assertThat(Files.getPosixFilePermissions(path))
          .isEqualTo(PosixFilePermissions.fromString("rwx------"));
    }
  }

  @Test
  void one_id_has_one_directory() {
    assertThatThrownBy(() -> directory.create()).isInstanceOf(FileAlreadyExistsException.class);
  }

  @Test
  void a_file_is_given_to_the_monitors_user_and_nobody_else() throws Exception {
    Files.writeString(directory.bootMemory(), "m");
    VmDirectory.giveToMonitor(directory.bootMemory(), USER);
    assertThat(Files.getAttribute(directory.bootMemory(), "unix:uid")).isEqualTo(USER);
    assertThat(Files.getPosixFilePermissions(directory.bootMemory()))
        .isEqualTo(PosixFilePermissions.fromString("rw-------"));
    assertThat(Files.getAttribute(directory.path(), "unix:uid")).isEqualTo(0);
  }

  @Test
  void deleting_it_follows_no_link() throws Exception {
    Path outside = Files.createDirectory(parent.resolve("outside"));
    Files.writeString(outside.resolve("file"), "stays");
    Files.createSymbolicLink(directory.path().resolve("link"), outside);
    Files.createDirectories(directory.path().resolve("a/b/c"));
    directory.delete();
    assertThat(directory.path()).doesNotExist();
    assertThat(outside.resolve("file")).hasContent("stays");
    directory.delete();
  }
}
