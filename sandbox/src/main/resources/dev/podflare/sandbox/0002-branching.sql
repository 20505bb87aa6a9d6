-- Lineage, the machine that a sandbox drives, and Spaces. A machine's line is described in Line.java.
ALTER TABLE sandboxes ADD COLUMN persistent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sandboxes ADD COLUMN family TEXT;
ALTER TABLE sandboxes ADD COLUMN parent TEXT;
ALTER TABLE sandboxes ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sandboxes ADD COLUMN microvm TEXT;
ALTER TABLE sandboxes ADD COLUMN resync TEXT;
ALTER TABLE sandboxes ADD COLUMN line TEXT NOT NULL DEFAULT '';
ALTER TABLE sandboxes ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 1;
UPDATE sandboxes SET family = id;

CREATE INDEX sandboxes_family ON sandboxes (family, created_at);

CREATE TABLE spaces (
  id TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  sandbox TEXT NOT NULL,
  held_by TEXT,
  family TEXT NOT NULL,
  generation INTEGER NOT NULL,
  template TEXT NOT NULL,
  cpus INTEGER NOT NULL,
  memory_mib INTEGER NOT NULL,
  disk_mib INTEGER NOT NULL,
  disk_bytes BIGINT NOT NULL,
  metadata TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  deleted_at BIGINT
);

CREATE INDEX spaces_there ON spaces (deleted_at, owner, created_at);
