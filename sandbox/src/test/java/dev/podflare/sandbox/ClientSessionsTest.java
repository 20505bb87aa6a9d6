package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.time.Instant;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ClientSessionsTest {

  private static ClientSession session(String id, String owner, long usedAt, String... family) {
    return new ClientSession(
        id,
        owner,
        "{\"name\":\"test\"}",
        Set.of(family).stream().findFirst(),
        Set.of(family),
        Set.of("sbx_3"),
        Instant.ofEpochMilli(usedAt));
  }

  @Test
  void aSessionIsFoundByTheNextProcessAsItWasLastWritten(@TempDir Path folder) {
    ClientSession last = session("a", "me", 2, "sbx_1", "sbx_2");
    try (Database database = Database.open(folder.resolve("db"))) {
      ClientSessions sessions = new ClientSessions(database);
      sessions.write(session("a", "me", 1));
      sessions.write(last);
    }
    try (Database database = Database.open(folder.resolve("db"))) {
      ClientSessions sessions = new ClientSessions(database);
      assertThat(sessions.find("a")).contains(last);
      assertThat(sessions.find("b")).isEmpty();
      sessions.remove("a");
      assertThat(sessions.find("a")).isEmpty();
    }
  }

  @Test
  void theIdlestComesFirstAndThoseUnusedForLongAreForgotten(@TempDir Path folder) {
    try (Database database = Database.open(folder.resolve("db"))) {
      ClientSessions sessions = new ClientSessions(database);
      sessions.write(session("a", "me", 10));
      sessions.write(session("b", "me", 20));
      sessions.write(session("c", "you", 15));
      sessions.touch("a", Instant.ofEpochMilli(30));
      sessions.touch("none", Instant.ofEpochMilli(30));
      assertThat(sessions.ofOwner("me"))
          .extracting(ClientSession::idHash)
          .containsExactly("b", "a");
      sessions.removeUnusedSince(Instant.ofEpochMilli(20));
      assertThat(sessions.ofOwner("you")).isEmpty();
      assertThat(sessions.ofOwner("me")).hasSize(2);
      assertThat(sessions.find("a").flatMap(ClientSession::own)).isEqualTo(Optional.empty());
    }
  }
}
