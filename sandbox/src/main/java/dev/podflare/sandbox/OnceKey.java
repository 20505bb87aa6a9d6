package dev.podflare.sandbox;

/**
 * Names a call that shall be done once, however often it is made.
 *
 * @param owner who makes it
 * @param path what it is made on
 * @param key what its maker calls it
 * @param body a digest of what it says; the same key with another one is a mistake
 */
public record OnceKey(String owner, String path, String key, String body) {}
