package dev.podflare.sandbox;

import java.util.Optional;

/**
 * A program to run on a terminal of its own.
 *
 * @param cmd what {@code bash -c} runs, at most 4,096 characters
 * @param cols columns, 1 to 10,000
 * @param rows lines, 1 to 10,000
 * @param cwd empty for {@code /root}
 */
public record OpenTerminal(String cmd, int cols, int rows, Optional<String> cwd) {

  /** A shell as somebody gets it who logs in. */
  public static final String DEFAULT_CMD = "bash -l";

  public static final int MOST_CMD_CHARS = 4096;
  public static final int MOST_SIDE = 10_000;
}
