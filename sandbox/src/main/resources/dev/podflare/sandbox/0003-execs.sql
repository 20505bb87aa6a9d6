-- The execs that run, or wait unread for their turn, of which a next server must know.
CREATE TABLE execs (
  id TEXT PRIMARY KEY,
  sandbox TEXT NOT NULL,
  language TEXT NOT NULL,
  background INTEGER NOT NULL,
  code TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  started_at BIGINT,
  stream INTEGER
);

CREATE INDEX execs_of_sandbox ON execs (sandbox, created_at);

-- What calls with an idempotency key have made. `made` holds ids, with spaces between them; `body` is a digest.
CREATE TABLE once_calls (
  owner TEXT NOT NULL,
  path TEXT NOT NULL,
  given_key TEXT NOT NULL,
  body TEXT NOT NULL,
  made TEXT NOT NULL,
  generation INTEGER NOT NULL,
  last_used_at BIGINT NOT NULL,
  pause_ns BIGINT NOT NULL,
  running_ns BIGINT NOT NULL,
  memory_bytes BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (owner, path, given_key)
);

CREATE INDEX once_calls_age ON once_calls (created_at);
