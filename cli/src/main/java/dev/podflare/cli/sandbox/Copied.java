package dev.podflare.cli.sandbox;

/**
 * What was copied.
 *
 * @param target where it is now
 */
record Copied(int files, long bytes, String target) {}
