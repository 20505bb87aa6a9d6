-- One row for each session that a client of a protocol with sessions (MCP) has begun and not ended. id_hash: SHA-256 of
-- the id that the client shows. client: what it said of itself, as JSON. own, family, named: ids of sandboxes, the lists
-- with a space between two.
CREATE TABLE client_sessions (
  id_hash TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  client TEXT NOT NULL,
  own TEXT,
  family TEXT NOT NULL,
  named TEXT NOT NULL,
  used_at BIGINT NOT NULL
);

CREATE INDEX client_sessions_of_owner ON client_sessions (owner, used_at);
CREATE INDEX client_sessions_used ON client_sessions (used_at);
