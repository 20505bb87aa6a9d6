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
    directory = VmDirectory.create(parent, MicroVmId.random());
  }

  @Test
  void nobody_but_the_server_may_look_into_it() throws Exception {
    for (Path path : new Path[] {directory.path(), directory.work(), directory.jailRoot()}) {
      assertThat(Files.getPosixFilePermissions(path))
          .isEqualTo(PosixFilePermissions.fromString("rwx------"));
    }
  }

  @Test
  void one_id_has_one_directory() {
    MicroVmId id = new MicroVmId(directory.path().getFileName().toString());
    assertThatThrownBy(() -> VmDirectory.create(parent, id))
        .isInstanceOf(FileAlreadyExistsException.class);
  }

  @Test
  void only_its_working_files_are_given_to_the_monitors_user() throws Exception {
    Files.writeString(directory.memory(), "m");
    Files.writeString(directory.journal(), "{}");
    directory.giveWorkTo(USER);
    assertThat(Files.getAttribute(directory.work(), "unix:uid")).isEqualTo(USER);
    assertThat(Files.getAttribute(directory.memory(), "unix:uid")).isEqualTo(USER);
    assertThat(Files.getPosixFilePermissions(directory.memory()))
        .isEqualTo(PosixFilePermissions.fromString("rw-------"));
    for (Path path : new Path[] {directory.path(), directory.journal(), directory.jailRoot()}) {
      assertThat(Files.getAttribute(path, "unix:uid")).isEqualTo(0);
    }
  }

  @Test
  void deleting_it_follows_no_link_that_a_monitor_has_left() throws Exception {
    Path outside = Files.createDirectory(parent.resolve("outside"));
    Files.writeString(outside.resolve("file"), "stays");
    Files.createSymbolicLink(directory.work().resolve("link"), outside);
    Files.createDirectories(directory.work().resolve("a/b/c"));
    directory.delete();
    assertThat(directory.path()).doesNotExist();
    assertThat(outside.resolve("file")).hasContent("stays");
    directory.delete();
  }
}
