package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.engine.MachineShape;
import java.nio.file.Path;
import java.time.Instant;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The builds of templates on a real database file. */
class TemplateRegistryTest {

  private static final Instant NOON = Instant.parse("2026-01-01T12:00:00Z");

  private Database database;
  private TemplateRegistry registry;

  @BeforeEach
  void open(@TempDir Path directory) {
    database = Database.open(directory.resolve("podflare.db"));
    registry = new TemplateRegistry(database);
  }

  @AfterEach
  void close() {
    database.close();
  }

  private static TemplateRecord build(String owner, String name, int version) {
    return new TemplateRecord(
        TemplateId.random(),
        owner,
        name,
        version,
        "default",
        "mark",
        "engine",
        new MachineShape(1, 1024, 4096),
        NOON);
  }

  private TemplateRecord finished(String owner, String name) {
    TemplateRecord template = build(owner, name, registry.nextVersion(owner, name));
    registry.begin(template);
    assertThat(registry.ready(template)).isTrue();
    return template;
  }

  @Test
  void a_build_is_nothing_to_create_from_until_it_is_ready() {
    TemplateRecord template = build("key", "mine", 1);
    registry.begin(template);
    assertThat(registry.ready("key", "mine")).isEmpty();
    assertThat(registry.ownedBy("key"))
        .singleElement()
        .satisfies(entry -> {
          assertThat(entry.template()).isEqualTo(template);
          assertThat(entry.state()).isEqualTo(TemplateRegistry.State.BUILDING);
        });
    assertThat(registry.ready(template)).isTrue();
    assertThat(registry.ready("key", "mine")).contains(template);
  }

  @Test
  void the_next_version_takes_the_place_of_the_one_before() {
    TemplateRecord first = finished("key", "mine");
    TemplateRecord second = finished("key", "mine");
    assertThat(second.version()).isEqualTo(2);
    assertThat(registry.named("key", "mine"))
        .extracting(TemplateRegistry.Entry::template)
        .containsExactly(second);
    assertThat(registry.everWas(first.id())).isTrue();
  }

  @Test
  void a_build_that_failed_leaves_the_one_before_and_is_forgotten_by_the_next_one() {
    TemplateRecord first = finished("key", "mine");
    TemplateRecord second = build("key", "mine", registry.nextVersion("key", "mine"));
    registry.begin(second);
    registry.fail(second.id(), "no luck");
    assertThat(registry.ready("key", "mine")).contains(first);
    assertThat(registry.named("key", "mine").getLast().error()).contains("no luck");
    TemplateRecord third = finished("key", "mine");
    assertThat(third.version()).as("a failed build is no version").isEqualTo(2);
    assertThat(registry.named("key", "mine")).hasSize(1);
  }

  @Test
  void owners_have_the_same_name_side_by_side() {
    TemplateRecord one = finished("one", "mine");
    TemplateRecord other = finished("other", "mine");
    assertThat(registry.ready("one", "mine")).contains(one);
    assertThat(registry.ready("other", "mine")).contains(other);
    assertThat(registry.delete("one", "mine", NOON)).isEqualTo(1);
    assertThat(registry.ready("one", "mine")).isEmpty();
    assertThat(registry.ready("other", "mine")).contains(other);
  }

  @Test
  void what_was_deleted_while_it_was_built_does_not_come_back_nor_harm_what_came_after() {
    TemplateRecord slow = build("key", "mine", 1);
    registry.begin(slow);
    assertThat(registry.delete("key", "mine", NOON)).isEqualTo(1);
    TemplateRecord next = finished("key", "mine");
    assertThat(registry.ready(slow)).isFalse();
    assertThat(registry.ready("key", "mine")).contains(next);
    registry.fail(slow.id(), "late");
    assertThat(registry.named("key", "mine")).hasSize(1);
  }

  @Test
  void a_name_that_was_deleted_goes_on_counting() {
    var _ = finished("key", "mine");
    assertThat(registry.delete("key", "mine", NOON)).isEqualTo(1);
    assertThat(registry.delete("key", "mine", NOON)).isZero();
    assertThat(finished("key", "mine").version()).isEqualTo(2);
  }

  @Test
  void a_build_that_a_registry_has_lost_is_taken_in_unless_a_later_one_is_there() {
    TemplateRecord lost = build("key", "mine", 3);
    assertThat(registry.ready(lost)).isTrue();
    assertThat(registry.ready("key", "mine")).contains(lost);
    assertThat(registry.ready(build("key", "mine", 2))).isFalse();
    assertThat(registry.ready("key", "mine")).contains(lost);
  }
}
