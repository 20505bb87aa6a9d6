package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.EngineException;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.Snapshot;
import dev.podflare.host.Extent;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Snapshots on disk, of a machine whose memory and state are a few bytes. */
class SnapshotFilesTest {

  private static final MachineShape SHAPE = new MachineShape(2, 512, 256);
  private static final String FINGERPRINT = "qemu/7.2/software";

  @TempDir private Path directory;
  private SnapshotFiles files;
  private Path base;

  @BeforeEach
  void freeze() throws Exception {
    base = Files.writeString(directory.resolve("rootfs"), "base");
    files = new SnapshotFiles(Files.createDirectory(directory.resolve("snapshot")));
    LayerFiles layers = files.layers();
    layers.takeRootfs(base);
    Files.writeString(layers.memory(0), "memory");
    Files.writeString(layers.memory(1), "ory");
    Files.writeString(layers.disk(0), "disk");
    layers.write(MemoryMap.of(6, 0).under(MemoryMap.pieces(List.of(new Extent(3, 3)), 1)));
    Files.writeString(files.deviceState(), "state of the devices");
    Files.writeString(files.overlay(), "nothing on the disk");
    assertThat(files.complete(SHAPE, FINGERPRINT, new VerifiedFiles()))
        .isEqualTo(new Snapshot(files.directory(), SHAPE));
  }

  /** As a server that was started anew, which has not looked at any file yet. */
  private static Snapshot open(SnapshotFiles files, String fingerprint) throws EngineException {
    return files.open(fingerprint, new VerifiedFiles());
  }

  private void assertRefused(String why) {
    assertThatThrownBy(() -> open(files, FINGERPRINT))
        .hasMessageContaining(why)
        .isInstanceOfSatisfying(
            EngineException.class,
            refused ->
                assertThat(refused.kind()).isEqualTo(EngineException.Kind.SNAPSHOT_MISMATCH));
  }

  private Path manifest() {
    return files.directory().resolve("manifest.json");
  }

  @Test
  void a_complete_snapshot_opens_with_the_shape_that_it_was_made_with() throws Exception {
    assertThat(open(files, FINGERPRINT)).isEqualTo(new Snapshot(files.directory(), SHAPE));
  }

  @Test
  void a_snapshot_may_be_moved() throws Exception {
    Path elsewhere = Files.move(files.directory(), directory.resolve("elsewhere"));
    assertThat(open(new SnapshotFiles(elsewhere), FINGERPRINT))
        .isEqualTo(new Snapshot(elsewhere, SHAPE));
  }

  @Test
  void a_sealed_file_can_be_read_by_every_monitor_and_written_by_none() throws Exception {
    LayerFiles.seal(files.deviceState());
    assertThat(Files.getPosixFilePermissions(files.deviceState()))
        .isEqualTo(PosixFilePermissions.fromString("r--r--r--"));
    assertThat(Files.getAttribute(files.deviceState(), "unix:uid")).isEqualTo(0);
  }

  @Test
  void a_link_that_a_monitor_left_in_place_of_its_file_is_not_followed() throws Exception {
    Path secret = Files.writeString(directory.resolve("secret"), "the host's own");
    Files.setPosixFilePermissions(secret, PosixFilePermissions.fromString("rw-------"));
    Path left = Files.createSymbolicLink(directory.resolve("state"), secret);
    assertThatThrownBy(() -> LayerFiles.seal(left)).hasMessageContaining("is no regular file");
    assertThat(Files.getPosixFilePermissions(secret))
        .isEqualTo(PosixFilePermissions.fromString("rw-------"));
  }

  @Test
  void a_child_stands_on_the_files_of_its_parent() throws Exception {
    LayerFiles other = new LayerFiles(Files.createDirectory(directory.resolve("other")));
    files.layers().shareRestWith(other);
    files.layers().shareRestWith(other);
    assertThat(Files.isSameFile(other.disk(0), files.layers().disk(0))).isTrue();
    assertThat(Files.isSameFile(other.memoryMap(), files.layers().memoryMap())).isTrue();
  }

  @Test
  void the_base_is_not_copied_where_it_can_be_linked() throws Exception {
    assertThat(Files.isSameFile(files.layers().rootfs(), base)).isTrue();
  }

  @Test
  void without_a_manifest_it_is_not_complete() throws Exception {
    Files.delete(manifest());
    assertRefused("is not complete: it has no manifest");
  }

  @Test
  void one_of_another_engine_or_processor_is_refused() {
    assertThatThrownBy(() -> open(files, "qemu/8.0/software"))
        .hasMessageContaining("another machine, another processor or by another Podflare");
  }

  @Test
  void one_of_another_format_is_refused() throws Exception {
    String manifest = Files.readString(manifest());
    Files.writeString(manifest(), manifest.replace("\"format\":2", "\"format\":1"));
    assertRefused("another Podflare");
  }

  @Test
  void a_manifest_that_was_cut_is_refused() throws Exception {
    String whole = Files.readString(manifest());
    for (int length = 0; length < whole.length(); length += 7) {
      Files.writeString(manifest(), whole.substring(0, length));
      assertRefused("can't be read");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"{}", "[]", "{\"format\":2}", "{\"format\":2,\"fingerprint\":null}"})
  void a_manifest_that_lacks_something_is_refused(String manifest) throws Exception {
    Files.writeString(manifest(), manifest);
    assertRefused("can't be read");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "memory.0",
        "memory.1",
        "memory.map",
        "state",
        "disk.0",
        "overlay.qcow2",
        "rootfs"
      })
  void one_that_lacks_a_file_is_refused(String name) throws Exception {
    Files.delete(files.directory().resolve(name));
    assertThatThrownBy(() -> open(files, FINGERPRINT))
        .isInstanceOfSatisfying(
            EngineException.class,
            refused ->
                assertThat(refused.kind()).isEqualTo(EngineException.Kind.SNAPSHOT_MISMATCH));
  }

  @ParameterizedTest
  @ValueSource(strings = {"memory.0", "memory.1", "memory.map", "state", "disk.0"})
  void any_flipped_bit_is_found(String name) throws Exception {
    Path file = files.directory().resolve(name);
    byte[] content = Files.readAllBytes(file);
    for (int bit = 0; bit < content.length * 8; bit += 13) {
      byte[] altered = content.clone();
      altered[bit / 8] ^= (byte) (1 << (bit % 8));
      Files.write(file, altered);
      assertRefused("is damaged: " + name);
    }
  }

  @Test
  void a_file_that_was_cut_is_found() throws Exception {
    try (FileChannel memory =
        FileChannel.open(files.layers().memory(0), StandardOpenOption.WRITE)) {
      memory.truncate(3);
    }
    assertRefused("is damaged: memory.0");
  }

  @Test
  void a_file_that_is_altered_after_it_was_found_right_is_found() throws Exception {
    VerifiedFiles verified = new VerifiedFiles();
    files.open(FINGERPRINT, verified);
    files.open(FINGERPRINT, verified);
    Files.writeString(files.layers().memory(1), "orx");
    assertThatThrownBy(() -> files.open(FINGERPRINT, verified))
        .hasMessageContaining("is damaged: memory.1");
  }

  @Test
  void a_manifest_that_does_not_know_a_file_that_is_needed_is_refused() throws Exception {
    String manifest = Files.readString(manifest());
    Files.writeString(
        manifest(), manifest.replaceAll("\\{\"name\":\"memory.1\"[^}]*},?", "").replace(",]", "]"));
    assertRefused("its manifest does not know memory.1");
  }

  @Test
  void a_copy_with_other_holes_is_the_same() throws Exception {
    Path sparse = directory.resolve("sparse");
    Path dense = directory.resolve("dense").resolve("sparse");
    Files.createDirectory(dense.getParent());
    byte[] content = new byte[1 << 20];
    content[700_000] = 7;
    Files.write(dense, content);
    try (FileChannel file =
        FileChannel.open(
            sparse,
            StandardOpenOption.CREATE_NEW,
            StandardOpenOption.WRITE,
            StandardOpenOption.SPARSE)) {
      file.write(java.nio.ByteBuffer.wrap(new byte[] {7}), 700_000);
      file.write(java.nio.ByteBuffer.wrap(new byte[] {0}), content.length - 1);
    }
    assertThat(Checksum.of(sparse)).isEqualTo(Checksum.of(dense));
  }
}
