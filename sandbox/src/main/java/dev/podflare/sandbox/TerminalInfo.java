package dev.podflare.sandbox;

import java.time.Instant;
import java.util.OptionalInt;

/**
 * What is known of a terminal.
 *
 * @param pid the sandbox's number of the first process on it
 * @param attached whether somebody reads it
 * @param exitCode of the program, once it has ended
 */
public record TerminalInfo(
    TerminalId id,
    String cmd,
    int pid,
    int cols,
    int rows,
    Instant createdAt,
    boolean attached,
    OptionalInt exitCode) {}
