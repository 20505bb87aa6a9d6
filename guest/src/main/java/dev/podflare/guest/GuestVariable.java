package dev.podflare.guest;

/**
 * A global of the user's Python, as the guest describes it.
 *
 * @param type the name of its type
 * @param repr one short line
 * @param fingerprint equal for equal values, as far as can be told without running the object's own
 *     code
 */
public record GuestVariable(String name, String type, String repr, String fingerprint) {}
