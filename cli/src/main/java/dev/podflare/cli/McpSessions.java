package dev.podflare.cli;

import dev.podflare.mcp.SessionStore;
import dev.podflare.sandbox.ClientSession;
import dev.podflare.sandbox.ClientSessions;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/** The sessions of MCP clients, in the database of the sandboxes. */
record McpSessions(ClientSessions kept) implements SessionStore {

  @Override
  public void write(StoredSession session) {
    kept.write(
        new ClientSession(
            session.idHash(),
            session.owner(),
            session.initialize(),
            session.own(),
            session.family(),
            session.named(),
            session.usedAt()));
  }

  @Override
  public void touch(String idHash, Instant usedAt) {
    kept.touch(idHash, usedAt);
  }

  @Override
  public Optional<StoredSession> find(String idHash) {
    return kept.find(idHash).map(McpSessions::stored);
  }

  @Override
  public List<StoredSession> ofOwner(String owner) {
    return kept.ofOwner(owner).stream().map(McpSessions::stored).toList();
  }

  @Override
  public void remove(String idHash) {
    kept.remove(idHash);
  }

  @Override
  public void removeUnusedSince(Instant instant) {
    kept.removeUnusedSince(instant);
  }

  private static StoredSession stored(ClientSession session) {
    return new StoredSession(
        session.idHash(),
        session.owner(),
        session.client(),
        session.own(),
        session.family(),
        session.named(),
        session.usedAt());
  }
}
