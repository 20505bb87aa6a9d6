package dev.podflare.guest;

import java.time.Instant;

/**
 * A terminal of before the host began anew. All of it is the guest's claim, which has the form that
 * a host would have given it, and need not be what one gave.
 *
 * @param stream by which it is taken over
 * @param name at most 128 characters
 * @param cmd at most 4,096 characters
 */
public record GuestTerminalInfo(
    int stream, String name, String cmd, int pid, int cols, int rows, Instant created) {}
