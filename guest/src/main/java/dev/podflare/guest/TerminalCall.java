package dev.podflare.guest;

import java.time.Instant;
import java.util.Optional;

/**
 * A program to run on a terminal of its own in a guest.
 *
 * @param name by which a later host knows the terminal again; it means nothing to the guest
 * @param cmd what {@code bash -c} runs
 * @param cols columns, 1 to 10,000
 * @param rows lines, 1 to 10,000
 * @param cwd empty for {@code /root}
 * @param created told to a later host
 */
public record TerminalCall(
    String name, String cmd, int cols, int rows, Optional<String> cwd, Instant created) {}
