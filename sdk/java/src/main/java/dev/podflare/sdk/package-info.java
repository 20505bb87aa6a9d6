/**
 * Runs an agent's code in sandboxes of a Podflare server.
 *
 * <p>{@link dev.podflare.sdk.Podflare} is where to begin. Every call blocks until it is answered,
 * which costs nothing on a virtual thread; none holds a lock meanwhile, so any number of threads
 * may use one client, and one sandbox.
 */
@NullMarked
package dev.podflare.sdk;

import org.jspecify.annotations.NullMarked;
