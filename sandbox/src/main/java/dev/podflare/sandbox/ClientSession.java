package dev.podflare.sandbox;

import java.time.Instant;
import java.util.Optional;
import java.util.Set;

/**
 * A session of a client that speaks a protocol with sessions, as it is kept for the next server.
 *
 * @param idHash a hash of the id that the client shows: who reads the database can't take it over
 * @param owner whose key began it
 * @param client what the client said of itself, for whoever speaks its protocol
 * @param own the sandbox that its calls mean when they name none; empty if there is none yet
 * @param family the sandboxes that end with the session
 * @param named other sandboxes that it made
 * @param usedAt its last call, to the minute
 */
public record ClientSession(
    String idHash,
    String owner,
    String client,
    Optional<String> own,
    Set<String> family,
    Set<String> named,
    Instant usedAt) {

  public ClientSession {
    family = Set.copyOf(family);
    named = Set.copyOf(named);
  }
}
