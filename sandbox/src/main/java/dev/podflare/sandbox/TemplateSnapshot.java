package dev.podflare.sandbox;

import dev.podflare.engine.Snapshot;
import dev.podflare.guest.ResyncToken;

/**
 * A template in one size, frozen.
 *
 * @param resync what makes the agent of its clones begin anew
 */
record TemplateSnapshot(Snapshot snapshot, ResyncToken resync) {}
