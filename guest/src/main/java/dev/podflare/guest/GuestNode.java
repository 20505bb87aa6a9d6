package dev.podflare.guest;

import java.util.Optional;

/**
 * What a path leads to in a guest, as the guest describes it.
 *
 * @param size in bytes; that of a directory says nothing
 * @param mode permission bits, 0 to 07777
 * @param modifiedNanos when its content changed last, since 1970
 * @param target of a symbolic link; empty for all else
 */
public record GuestNode(
    GuestEntry.Type type, long size, int mode, long modifiedNanos, Optional<String> target) {}
