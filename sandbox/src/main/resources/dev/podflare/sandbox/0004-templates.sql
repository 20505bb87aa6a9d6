-- One row for each build of a user's template that ever was. What a build of state 'ready' made lies in a
-- directory by its id. deleted_at: it was deleted, or a later build of the same name took its place.
CREATE TABLE templates (
  id TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  base TEXT NOT NULL,
  base_mark TEXT NOT NULL,
  engine TEXT NOT NULL,
  cpus INTEGER NOT NULL,
  memory_mib INTEGER NOT NULL,
  disk_mib INTEGER NOT NULL,
  created_at BIGINT NOT NULL,
  state TEXT NOT NULL,
  error TEXT,
  deleted_at BIGINT
);

CREATE INDEX templates_there ON templates (deleted_at, owner, name, version);
