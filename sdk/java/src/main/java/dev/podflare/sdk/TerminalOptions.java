package dev.podflare.sdk;

import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * What runs in a new terminal.
 *
 * @param command run by {@code bash -c}
 * @param cols its width in characters
 * @param rows its height in lines
 * @param cwd where it starts; {@code /root} if it is null
 * @param onData is given the bytes that it writes, as they come; {@link Terminal#output()} has them
 *     if it is null
 */
public record TerminalOptions(
    String command, int cols, int rows, @Nullable String cwd, @Nullable Consumer<byte[]> onData) {
  private static final TerminalOptions SHELL = command("bash -l");

  /** A login shell in a terminal of 80 by 24. */
  public static TerminalOptions shell() {
    return SHELL;
  }

  /** This command in a terminal of 80 by 24. */
  public static TerminalOptions command(String command) {
    return new TerminalOptions(command, 80, 24, null, null);
  }

  /** In a terminal of this size. */
  public TerminalOptions withSize(int cols, int rows) {
    return new TerminalOptions(command, cols, rows, cwd, onData);
  }

  /** Starting in this directory. */
  public TerminalOptions withCwd(String cwd) {
    return new TerminalOptions(command, cols, rows, cwd, onData);
  }

  /** Giving its bytes to this, which must not wait for what the terminal writes later. */
  public TerminalOptions withOnData(Consumer<byte[]> onData) {
    return new TerminalOptions(command, cols, rows, cwd, onData);
  }
}
