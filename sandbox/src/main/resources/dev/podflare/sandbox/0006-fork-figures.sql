-- A fork copies no memory any more, so there is nothing to say of it.
ALTER TABLE once_calls DROP COLUMN memory_bytes;
