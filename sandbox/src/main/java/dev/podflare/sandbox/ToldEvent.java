package dev.podflare.sandbox;

import java.time.Instant;

/**
 * An event as it was first told, which it is told as for ever.
 *
 * @param seq counts from 0 in each exec
 * @param at host time
 */
public record ToldEvent(long seq, Instant at, ExecEvent event) {}
