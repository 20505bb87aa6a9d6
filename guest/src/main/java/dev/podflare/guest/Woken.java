package dev.podflare.guest;

import java.time.Instant;

/**
 * What a machine says once it has an identity of its own.
 *
 * @param generation the one that it was told
 * @param guestTime its wall clock when it was woken, before that was set: for a clone, the time of
 *     its snapshot and the milliseconds since it runs
 * @param running whether an exec of before the cut goes on; see {@link AgentConnection#rejoin}
 * @param terminals whether there are terminals of before; see {@link AgentConnection#terminals}
 */
public record Woken(int generation, Instant guestTime, boolean running, boolean terminals) {}
