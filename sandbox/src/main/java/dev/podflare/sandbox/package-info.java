/**
 * The life of sandboxes on this host: templates, the warm pool, the registry, lifetimes and execs.
 * It builds on an engine and on the agent in the guest, and knows nothing of HTTP.
 */
@NullMarked
package dev.podflare.sandbox;

import org.jspecify.annotations.NullMarked;
