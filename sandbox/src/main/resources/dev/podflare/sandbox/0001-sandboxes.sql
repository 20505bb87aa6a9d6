-- One row for each sandbox that ever was. Times are milliseconds since 1970, durations milliseconds.
CREATE TABLE sandboxes (
  id TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  template TEXT NOT NULL,
  cpus INTEGER NOT NULL,
  memory_mib INTEGER NOT NULL,
  disk_mib INTEGER NOT NULL,
  egress TEXT NOT NULL,
  idle_timeout BIGINT NOT NULL,
  max_lifetime BIGINT,
  metadata TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  closed_at BIGINT,
  end_reason TEXT
);

CREATE INDEX sandboxes_open ON sandboxes (closed_at, created_at);
