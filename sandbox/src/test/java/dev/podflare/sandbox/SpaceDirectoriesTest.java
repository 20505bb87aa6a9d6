package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.Egress;
import dev.podflare.engine.MachineShape;
import dev.podflare.guest.ResyncToken;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SpaceDirectoriesTest {

  private final SpaceManifest manifest =
      new SpaceManifest(
          SpaceId.random(),
          "engine",
          new SandboxRecord(
              SandboxId.random(),
              "key",
              "default",
              new MachineShape(1, 1024, 4096),
              new Egress.Nothing(),
              Duration.ofMinutes(5),
              Optional.of(Duration.ofHours(1)),
              true,
              SandboxId.random(),
              Optional.of(SandboxId.random()),
              Map.of("task", "\u00fc\n\""),
              Instant.ofEpochMilli(1_700_000_000_123L)),
          true,
          ResyncToken.parse("ff" + "81".repeat(31)),
          3,
          Line.ORIGIN.with(new Line.Cut("a", Instant.ofEpochSecond(5, 7))),
          Instant.ofEpochMilli(1_700_000_001_456L));

  private Path root;
  private SpaceDirectories directories;

  @BeforeEach
  void makeRoot(@TempDir Path temporary) throws Exception {
    root = temporary.resolve("spaces");
    directories = new SpaceDirectories(root);
  }

  private Path file(String name) {
    return root.resolve(manifest.id().value()).resolve(name);
  }

  private void begin() throws IOException {
    var _ = directories.begin(manifest);
    directories.finish(manifest.id());
  }

  @Test
  void what_is_written_is_read() throws Exception {
    Path machine = directories.begin(manifest);
    assertThat(machine).isEmptyDirectory();
    assertThat(directories.all()).isEmpty();
    assertThat(directories.unfinished()).containsExactly(manifest.id());
    directories.finish(manifest.id());
    assertThat(directories.unfinished()).isEmpty();
    assertThat(directories.machine(manifest.id())).isEmptyDirectory();
    assertThat(directories.read(manifest.id())).isEqualTo(manifest);
    assertThat(directories.all()).containsExactly(manifest.id());
    directories.delete(manifest.id());
    assertThat(directories.all()).isEmpty();
    assertThatThrownBy(() -> directories.read(manifest.id())).isInstanceOf(IOException.class);
  }

  @Test
  void every_byte_of_the_manifest_counts() throws Exception {
    begin();
    byte[] whole = Files.readAllBytes(file("space.json"));
    for (int at = 0; at < whole.length; at += 7) {
      byte[] altered = whole.clone();
      altered[at] ^= 1;
      Files.write(file("space.json"), altered);
      assertThatThrownBy(() -> directories.read(manifest.id())).isInstanceOf(IOException.class);
    }
    Files.write(file("space.json"), whole);
    Files.writeString(
        file("space.json.sha256"), Files.readString(file("space.json.sha256")).strip());
    assertThatThrownBy(() -> directories.read(manifest.id())).isInstanceOf(IOException.class);
    Files.write(file("space.json"), Arrays.copyOf(whole, whole.length / 2));
    assertThatThrownBy(() -> directories.read(manifest.id())).isInstanceOf(IOException.class);
  }

  @Test
  void a_manifest_in_the_directory_of_another_space_is_refused() throws Exception {
    begin();
    SpaceId other = SpaceId.random();
    Files.move(root.resolve(manifest.id().value()), root.resolve(other.value()));
    assertThatThrownBy(() -> directories.read(other))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(manifest.id().value());
  }

  @Test
  void a_manifest_of_a_later_format_is_refused() throws Exception {
    begin();
    String later = Files.readString(file("space.json")).replace("\"format\" : 1", "\"format\" : 2");
    Files.writeString(file("space.json"), later);
    Files.writeString(file("space.json.sha256"), Sha256.of(later) + "  space.json\n");
    assertThatThrownBy(() -> directories.read(manifest.id()))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("format");
  }

  @Test
  void files_that_are_somewhere_else_too_take_no_room() throws Exception {
    begin();
    Path machine = directories.machine(manifest.id());
    long before = directories.bytes(manifest.id());
    Path shared = Files.writeString(root.resolveSibling("layer"), "x".repeat(1000));
    Files.createLink(machine.resolve("layer"), shared);
    assertThat(directories.bytes(manifest.id())).isEqualTo(before);
    Files.writeString(machine.resolve("own"), "x".repeat(1000));
    assertThat(directories.bytes(manifest.id())).isEqualTo(before + 1000);
  }
}
