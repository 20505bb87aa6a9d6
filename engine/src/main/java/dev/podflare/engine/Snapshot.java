package dev.podflare.engine;

import java.nio.file.Path;

/**
 * A frozen microVM on disk, immutable: clones share its pages until they write to them.
 *
 * @param directory holds all of the snapshot; may be moved while no clone runs
 * @param shape the size that the microVM had, and every clone has
 */
public record Snapshot(Path directory, MachineShape shape) {}
