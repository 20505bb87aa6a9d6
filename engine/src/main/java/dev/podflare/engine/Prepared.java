package dev.podflare.engine;

/**
 * What an engine has made ahead of time, so that starting a microVM is quick.
 *
 * @param ready microVMs that wait to become something, 0 or more
 * @param target how many shall wait; while fewer do, some starts take as long as without them
 */
public record Prepared(int ready, int target) {}
