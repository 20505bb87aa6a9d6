package dev.podflare.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.worker.Attachments.MountedFile;
import dev.podflare.worker.Attachments.Repository;
import dev.podflare.worker.Attachments.Skill;
import dev.podflare.worker.Attachments.Store;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AttachmentsTest {
  private static Attachments of(String skills, String resources) throws ProviderException {
    String session = "{'agent': {'skills': [" + skills + "]}, 'resources': [" + resources + "]}";
    return Attachments.of(Json.read(session.replace('\'', '"').getBytes(StandardCharsets.UTF_8)));
  }

  @Test
  void what_the_api_shows_of_a_session_is_understood() throws Exception {
    Attachments all =
        of(
            "{'type': 'anthropic', 'skill_id': 'xlsx', 'version': 'latest'}",
            """
            {'type': 'memory_store', 'memory_store_id': 'memstore_1', 'access': 'read_only',
             'mount_path': '/mnt/memory/notes', 'name': 'Notes'},
            {'type': 'memory_store', 'memory_store_id': 'memstore_2', 'name': 'User Preferences!'},
            {'type': 'file', 'file_id': 'file_1', 'mount_path': '/workspace/a b.csv'},
            {'type': 'github_repository', 'url': 'https://github.com/o/r',
             'mount_path': '/workspace/r', 'checkout': {'type': 'branch', 'name': 'feature/x'}},
            {'type': 'github_repository', 'url': 'https://github.com/o/s', 'checkout': null,
             'mount_path': '/workspace/s'}
            """);
    assertThat(all.skills()).containsExactly(new Skill("xlsx", "latest"));
    assertThat(all.stores())
        .containsExactly(
            new Store("memstore_1", "/mnt/memory/notes", true),
            new Store("memstore_2", "/mnt/memory/user-preferences", false));
    assertThat(all.files()).containsExactly(new MountedFile("file_1", "/workspace/a b.csv"));
    assertThat(all.repositories())
        .containsExactly(
            new Repository(
                URI.create("https://github.com/o/r"),
                "/workspace/r",
                Optional.of("feature/x"),
                Optional.empty()),
            new Repository(
                URI.create("https://github.com/o/s"),
                "/workspace/s",
                Optional.empty(),
                Optional.empty()));
    assertThat(all.refused()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'type': 'file', 'file_id': 'file_1', 'mount_path': '/a/../b'}",
        "{'type': 'file', 'file_id': 'file_1', 'mount_path': 'a'}",
        "{'type': 'file', 'file_id': 'file_1', 'mount_path': '/'}",
        "{'type': 'file', 'file_id': 'file_1', 'mount_path': '/a//b'}",
        "{'type': 'file', 'file_id': 'file_1', 'mount_path': '/proc/sys/x'}",
        "{'type': 'file', 'file_id': 'file_1', 'mount_path': '/a\\u0000'}",
        "{'type': 'file', 'file_id': '../file', 'mount_path': '/a'}",
        "{'type': 'github_repository', 'url': 'file:///etc', 'mount_path': '/r'}",
        "{'type': 'github_repository', 'url': 'ext::sh -c x', 'mount_path': '/r'}",
        "{'type': 'github_repository', 'url': 'https://u:p@github.com/o/r', 'mount_path': '/r'}",
        "{'type': 'github_repository', 'url': '--upload-pack=x', 'mount_path': '/r'}",
        "{'type': 'github_repository', 'url': 'https://github.com/o/r', 'mount_path': '/r',"
            + " 'checkout': {'type': 'branch', 'name': '--orphan'}}",
        "{'type': 'github_repository', 'url': 'https://github.com/o/r', 'mount_path': '/r',"
            + " 'checkout': {'type': 'commit', 'sha': 'HEAD'}}",
        "{'type': 'carrier_pigeon'}"
      })
  void what_is_not_right_is_left_out_and_told(String resource) throws Exception {
    Attachments all = of("", resource);
    assertThat(all.files()).isEmpty();
    assertThat(all.repositories()).isEmpty();
    assertThat(all.refused()).hasSize(1);
    assertThat(all.isEmpty()).isFalse();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "'mount_path': '/etc'",
        "'mount_path': '/mnt/memory/../x'",
        "'mount_path': '/mnt/memory/'",
        "'mount_path': 'x'"
      })
  void a_memory_store_that_can_not_be_mounted_ends_it(String path) {
    String resource = "{'type': 'memory_store', 'memory_store_id': 'memstore_1', " + path + "}";
    assertThatThrownBy(() -> of("", resource))
        .isInstanceOf(ProviderException.class)
        .hasMessageContaining("/mnt/memory/");
  }

  @Test
  void memory_stores_do_not_share_a_path() {
    String store = "{'type': 'memory_store', 'memory_store_id': 'memstore_1', 'name': 'a'}";
    assertThatThrownBy(() -> of("", store + "," + store)).hasMessageContaining("of their own");
    String inner =
        "{'type': 'memory_store', 'memory_store_id': 'm2', 'mount_path': '/mnt/memory/a/b'}";
    assertThatThrownBy(() -> of("", store + "," + inner)).hasMessageContaining("inside another");
  }

  @Test
  void there_are_bounds() throws Exception {
    String skill = "{'type': 'custom', 'skill_id': 'skill_1', 'version': 'v'}";
    Attachments all = of(String.join(",", java.util.Collections.nCopies(70, skill)), "");
    assertThat(all.skills()).hasSize(64);
    assertThat(all.refused()).hasSize(6);
  }
}
