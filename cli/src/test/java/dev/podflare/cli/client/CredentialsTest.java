package dev.podflare.cli.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Runs as root, as a server does. */
class CredentialsTest {

  private static final Credentials SOME = new Credentials("http://127.0.0.1:7070", "pf_live_1");

  @TempDir private Path home;

  private Path file() {
    return home.resolve(".config/podflare/config.json");
  }

  private static Object owner(Path path) throws Exception {
    return Files.getAttribute(path, "unix:uid");
  }

  @Test
  void what_is_written_is_read() throws Exception {
    SOME.writeTo(file());
    assertThat(Credentials.read(file())).contains(SOME);
    assertThat(file()).content().contains("\"host\"", "\"api_key\"");
  }

  @Test
  void only_its_owner_may_read_it() throws Exception {
    SOME.writeTo(file());
    assertThat(Files.getPosixFilePermissions(file()))
        .isEqualTo(PosixFilePermissions.fromString("rw-------"));
  }

  @Test
  void one_that_others_could_read_is_replaced_by_one_that_they_can_not() throws Exception {
    Files.createDirectories(file().getParent());
    Files.writeString(file(), "{}");
    Files.setPosixFilePermissions(file(), PosixFilePermissions.fromString("rw-rw-rw-"));
    SOME.writeTo(file());
    assertThat(Files.getPosixFilePermissions(file()))
        .isEqualTo(PosixFilePermissions.fromString("rw-------"));
  }

  @Test
  void under_sudo_it_belongs_to_the_user_in_whose_home_it_lies() throws Exception {
    Path config = Files.createDirectory(home.resolve(".config"));
    Files.setAttribute(config, "unix:uid", 1234);
    SOME.writeTo(file());
    assertThat(owner(file())).isEqualTo(1234);
    assertThat(owner(file().getParent())).isEqualTo(1234);
  }

  @Test
  void under_sudo_the_directories_that_had_to_be_made_are_the_users_too() throws Exception {
    Files.setAttribute(home, "unix:uid", 1234);
    SOME.writeTo(file());
    for (Path path = file(); !path.equals(home); path = path.getParent()) {
      assertThat(owner(path)).as(path.toString()).isEqualTo(1234);
    }
  }

  @Test
  void roots_own_stay_roots() throws Exception {
    SOME.writeTo(file());
    assertThat(owner(file())).isEqualTo(0);
  }

  @Test
  void a_reader_sees_the_old_one_or_the_new_one_and_nothing_is_left_beside() throws Exception {
    Credentials other = new Credentials("http://127.0.0.1:7071", "pf_live_" + "2".repeat(4000));
    SOME.writeTo(file());
    CompletableFuture<Void> writer =
        CompletableFuture.runAsync(() -> {
          try {
            for (int i = 0; i < 100; i++) {
              (i % 2 == 0 ? other : SOME).writeTo(file());
            }
          } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
          }
        });
    do {
      assertThat(Credentials.read(file()).orElseThrow()).isIn(SOME, other);
    } while (!writer.isDone());
    writer.get(60, TimeUnit.SECONDS);
    try (Stream<Path> files = Files.list(file().getParent())) {
      assertThat(files).containsExactly(file());
    }
  }

  @Test
  void where_there_is_none_there_is_none() throws Exception {
    assertThat(Credentials.read(file())).isEmpty();
  }

  @Test
  void a_damaged_one_is_named_with_its_remedy() throws Exception {
    Files.createDirectories(file().getParent());
    Files.writeString(file(), "{\"host\": ");
    assertThatThrownBy(() -> Credentials.read(file()))
        .isInstanceOf(CommandFailure.class)
        .hasMessageContaining(file() + " can't be read; remove it");
  }
}
