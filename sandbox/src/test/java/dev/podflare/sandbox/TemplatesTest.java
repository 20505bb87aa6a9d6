package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.BootImage;
import dev.podflare.engine.Engine;
import dev.podflare.engine.EngineFacts;
import dev.podflare.engine.Isolation;
import dev.podflare.engine.MachineShape;
import dev.podflare.guest.ResyncToken;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.time.Clock;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What templates there are and what they are good for. How they are built needs machines: e2e. */
class TemplatesTest {

  private static final MachineShape SHAPE = new MachineShape(1, 1024, 4096);
  private static final ResyncToken RESYNC = ResyncToken.parse("ff" + "81".repeat(31));

  private Path data;
  private Database database;
  private TemplateDirectories directories;

  @BeforeEach
  void open(@TempDir Path temporary) throws Exception {
    data = temporary;
    database = Database.open(data.resolve("podflare.db"));
    directories = new TemplateDirectories(data.resolve("custom-templates"));
  }

  @AfterEach
  void close() {
    database.close();
  }

  /** An engine of which only its facts are asked. */
  private static Engine engine(String fingerprint) {
    EngineFacts facts =
        new EngineFacts("test", Isolation.EMULATED, "it is a test", fingerprint, List.of());
    return (Engine)
        Proxy.newProxyInstance(
            Engine.class.getClassLoader(),
            new Class<?>[] {Engine.class},
            (_, method, _) -> {
              if (method.getName().equals("facts")) {
                return facts;
              }
              throw new UnsupportedOperationException(method.getName());
            });
  }

  /** The host's templates, with this engine and this image. */
  private Templates on(String engine, String image) throws Exception {
    GuestImage guest =
        new GuestImage(new BootImage(Path.of("k"), Path.of("i"), Path.of("r"), ""), image);
    return new Templates(
        engine(engine),
        Clock.systemUTC(),
        new Zygotes(engine(engine), Clock.systemUTC(), warmed -> {}),
        new TemplateSnapshots(engine(engine), guest, data.resolve("templates"), _ -> {}),
        new TemplateRegistry(database),
        directories,
        Template.builtIn());
  }

  private Templates here() throws Exception {
    return on("engine", "image");
  }

  private TemplateRecord built(Templates templates, String name, String base) throws Exception {
    TemplateRecord template =
        templates.begin("key", name, templates.require("key", base, "from"), SHAPE);
    var _ = templates.directoryFor(new TemplateManifest(template, RESYNC));
    templates.finish(template).forEach(templates::discard);
    return template;
  }

  private static TemplateInfo info(Templates templates, String name) {
    return templates.list("key").stream()
        .filter(one -> one.name().equals(name))
        .findFirst()
        .orElseThrow();
  }

  private static void assertRefused(Templates templates, String name, String code) {
    assertThatThrownBy(() -> templates.require("key", name, "template"))
        .isInstanceOfSatisfying(
            SandboxException.class, refused -> assertThat(refused.code()).isEqualTo(code));
  }

  @Test
  void those_of_every_host_come_first_and_one_sees_only_ones_own() throws Exception {
    Templates templates = here();
    built(templates, "mine", "default");
    assertThat(templates.list("key"))
        .extracting(TemplateInfo::name)
        .containsExactly("default", "python-datasci", "mine");
    assertThat(templates.list("other")).allMatch(TemplateInfo::builtIn);
    assertThatThrownBy(() -> templates.require("other", "mine", "template"))
        .hasMessageContaining("mine")
        .isInstanceOfSatisfying(
            SandboxException.class, refused -> assertThat(refused.hint()).doesNotContain("mine"));
  }

  @Test
  void another_image_makes_it_stale_and_all_that_stand_on_it() throws Exception {
    Templates templates = here();
    built(templates, "lower", "default");
    built(templates, "upper", "lower");
    assertThat(info(templates, "upper").stale()).isFalse();

    Templates upgraded = on("engine", "another image");

    assertThat(upgraded.recover()).hasValueSatisfying(said -> assertThat(said).contains("2 stand"));
    assertThat(info(upgraded, "lower").stale()).isTrue();
    assertThat(info(upgraded, "upper").stale()).isTrue();
    assertThat(info(upgraded, "upper").state()).isEqualTo(TemplateInfo.State.READY);
    assertThat(upgraded.require("key", "upper", "template").name()).isEqualTo("upper");
    built(upgraded, "lower", "default");
    assertThat(info(upgraded, "lower").stale()).isFalse();
    assertThat(info(upgraded, "upper").stale()).as("what it stood on is gone").isTrue();
  }

  @Test
  void another_engine_makes_it_unusable_and_says_what_to_do() throws Exception {
    built(here(), "mine", "default");

    Templates moved = on("another engine", "image");

    assertThat(moved.recover())
        .hasValueSatisfying(said -> assertThat(said).contains("1 do not fit"));
    assertThat(info(moved, "mine").state()).isEqualTo(TemplateInfo.State.FAILED);
    assertThat(info(moved, "mine").stale()).isTrue();
    assertThat(info(moved, "mine").error()).isPresent();
    assertRefused(moved, "mine", "template_unfit");
    assertThat(here().require("key", "mine", "template").name()).isEqualTo("mine");
  }

  @Test
  void a_build_that_the_server_did_not_survive_has_failed_if_its_files_are_not_whole()
      throws Exception {
    Templates templates = here();
    TemplateRecord template =
        templates.begin("key", "mine", templates.require("key", "default", "from"), SHAPE);
    assertRefused(templates, "mine", "template_building");
    var _ = templates.directoryFor(new TemplateManifest(template, RESYNC));

    Templates next = here();
    assertThat(next.recover()).isEmpty();

    assertThat(info(next, "mine").state()).isEqualTo(TemplateInfo.State.FAILED);
    assertThat(info(next, "mine").version()).isZero();
    assertRefused(next, "mine", "template_failed");
    assertThat(data.resolve("custom-templates")).isEmptyDirectory();
  }

  @Test
  void a_build_that_the_server_did_not_survive_is_ready_if_its_files_are_whole() throws Exception {
    Templates templates = here();
    TemplateRecord first = built(templates, "mine", "default");
    TemplateRecord second =
        templates.begin("key", "mine", templates.require("key", "default", "from"), SHAPE);
    var _ = templates.directoryFor(new TemplateManifest(second, RESYNC));
    directories.finish(second.id());

    Templates next = here();
    assertThat(next.recover()).isEmpty();

    assertThat(info(next, "mine").version()).isEqualTo(2);
    assertThat(next.require("key", "mine", "template")).isEqualTo(new TemplateSource.Built(second));
    assertThat(directories.has(first.id())).as("the replaced one").isFalse();
    assertThat(directories.has(second.id())).isTrue();
  }

  @Test
  void files_that_no_row_names_are_deleted_or_come_back_and_rows_without_files_go()
      throws Exception {
    Templates templates = here();
    TemplateRecord deleted = built(templates, "deleted", "default");
    assertThat(templates.delete("key", "deleted")).containsExactly(deleted.id());
    TemplateRecord lost = built(templates, "lost", "default");
    directories.delete(lost.id());

    Templates next = here();
    assertThat(next.recover()).isEmpty();

    assertThat(directories.all()).isEmpty();
    assertThat(next.list("key")).allMatch(TemplateInfo::builtIn);
  }

  @Test
  void what_every_host_has_and_what_is_not_there_can_not_be_deleted() throws Exception {
    Templates templates = here();
    assertThatThrownBy(() -> templates.delete("key", "default"))
        .isInstanceOfSatisfying(
            SandboxException.class,
            refused -> assertThat(refused.code()).isEqualTo("template_built_in"));
    assertThatThrownBy(() -> templates.delete("key", "none"))
        .isInstanceOfSatisfying(
            SandboxException.class,
            refused -> assertThat(refused.code()).isEqualTo("template_not_found"));
  }

  @Test
  void its_size_is_its_only_one() {
    MachineShape shape =
        Sizes.only(SHAPE, "mine", Optional.of(1), Optional.empty(), Optional.of(4096));
    assertThat(shape).isEqualTo(SHAPE);
    assertThatThrownBy(
            () -> Sizes.only(SHAPE, "mine", Optional.empty(), Optional.of(2048), Optional.empty()))
        .isInstanceOfSatisfying(
            SandboxException.class,
            refused -> assertThat(refused.code()).isEqualTo("invalid_memory_mb"));
  }
}
