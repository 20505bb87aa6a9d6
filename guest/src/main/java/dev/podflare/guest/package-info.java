/**
 * The host's end of the protocol that the agent in a microVM speaks (docs/agent-protocol.md).
 * Everything that arrives here was sent by hostile code: it is bounded, checked, and never trusted.
 */
@NullMarked
package dev.podflare.guest;

import org.jspecify.annotations.NullMarked;
