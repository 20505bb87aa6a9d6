package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.MachineShape;
import dev.podflare.guest.ResyncToken;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TemplateDirectoriesTest {

  private final TemplateManifest manifest =
      new TemplateManifest(
          new TemplateRecord(
              TemplateId.random(),
              "key \"\u00fc\n",
              "mine",
              7,
              "default",
              "mark",
              "engine",
              new MachineShape(2, 1024, 4096),
              Instant.ofEpochMilli(1_700_000_000_123L)),
          ResyncToken.parse("ff" + "81".repeat(31)));

  private final TemplateId id = manifest.template().id();
  private Path root;
  private TemplateDirectories directories;

  @BeforeEach
  void makeRoot(@TempDir Path temporary) throws Exception {
    root = temporary.resolve("templates");
    directories = new TemplateDirectories(root);
  }

  @Test
  void what_is_finished_is_read_as_it_was_written() throws Exception {
    Path machine = directories.begin(manifest);
    assertThat(machine).isEmptyDirectory();
    directories.finish(id);
    assertThat(directories.has(id)).isTrue();
    assertThat(directories.machine(id)).isEmptyDirectory();
    assertThat(directories.read(id)).isEqualTo(manifest);
    assertThat(directories.all()).containsExactly(id);
  }

  @Test
  void what_is_not_finished_is_not_there_and_is_deleted() throws Exception {
    var _ = directories.begin(manifest);
    assertThat(directories.has(id)).isFalse();
    assertThat(directories.all()).isEmpty();
    directories.deleteUnfinished();
    assertThat(root).isEmptyDirectory();
  }

  @Test
  void deleting_takes_what_is_finished_and_what_is_not() throws Exception {
    var _ = directories.begin(manifest);
    directories.delete(id);
    assertThat(root).isEmptyDirectory();
    var _ = directories.begin(manifest);
    directories.finish(id);
    directories.delete(id);
    directories.delete(id);
    assertThat(root).isEmptyDirectory();
  }

  @Test
  void a_torn_manifest_and_another_builds_are_refused() throws Exception {
    var _ = directories.begin(manifest);
    directories.finish(id);
    Path file = root.resolve(id.value()).resolve("template.json");
    String whole = Files.readString(file);
    Files.writeString(file, whole.substring(0, whole.length() / 2));
    assertThatThrownBy(() -> directories.read(id)).isInstanceOf(IOException.class);
    Files.writeString(file, whole.replace(id.value(), TemplateId.random().value()));
    assertThatThrownBy(() -> directories.read(id)).hasMessageContaining("another build");
  }
}
