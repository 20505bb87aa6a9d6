/**
 * A worker for the provider's self-hosted environments: it takes sessions from the environment's
 * queue, runs their tool calls in sandboxes, one a session, and answers them. What is known of the
 * protocol, and what is not, stands in docs/worker.md.
 */
@NullMarked
package dev.podflare.worker;

import org.jspecify.annotations.NullMarked;
