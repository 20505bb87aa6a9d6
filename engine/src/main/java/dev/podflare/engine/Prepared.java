package dev.podflare.engine;

/**
 * What an engine has made ahead of time, so that starting a microVM is quick.
 *
 * @param ready what the host gives a microVM (network, control group, directory), set up for as
 *     many of them, 0 or more
 * @param target how many shall wait; while fewer do, some starts take as long as without them
 */
public record Prepared(int ready, int target) {}
