package dev.podflare.mcp;

import java.time.Instant;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/** Sessions that end with the process. */
final class SessionsInMemory implements SessionStore {

  private final Map<String, StoredSession> sessions = new ConcurrentHashMap<>();

  @Override
  public void write(StoredSession session) {
    sessions.put(session.idHash(), session);
  }

  @Override
  public void touch(String idHash, Instant usedAt) {
    sessions.computeIfPresent(
        idHash,
        (_, known) ->
            new StoredSession(
                known.idHash(),
                known.owner(),
                known.initialize(),
                known.own(),
                known.family(),
                known.named(),
                usedAt));
  }

  @Override
  public Optional<StoredSession> find(String idHash) {
    return Optional.ofNullable(sessions.get(idHash));
  }

  @Override
  public List<StoredSession> ofOwner(String owner) {
    return sessions.values().stream()
        .filter(session -> session.owner().equals(owner))
        .sorted(Comparator.comparing(StoredSession::usedAt))
        .toList();
  }

  @Override
  public void remove(String idHash) {
    sessions.remove(idHash);
  }

  @Override
  public void removeUnusedSince(Instant instant) {
    sessions.values().removeIf(session -> session.usedAt().isBefore(instant));
  }
}
