package dev.podflare.sdk;

/**
 * How a terminal's program ended.
 *
 * @param code its exit code; 128 and the signal's number if it was killed
 * @param reason {@link ExitReason#KILLED} if its machine ended
 */
public record TerminalExit(int code, ExitReason reason) {}
