package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The terminal that the command was called on. While it is raw, every key goes to the program as it
 * is; at the end, whatever end that is, it is as it was.
 */
final class LocalTerminal implements AutoCloseable {

  /** Columns and lines. */
  record Size(int cols, int rows) {
    static final Size USUAL = new Size(80, 24);
  }

  private static final Pattern SIZE = Pattern.compile("(\\d{1,5}) (\\d{1,5})");

  private final String before;
  private final Thread atExit = new Thread(this::restore, "restore-terminal");

  private LocalTerminal(String before) {
    this.before = before;
  }

  /** Makes it raw; empty if standard input is no terminal. */
  static Optional<LocalTerminal> raw() throws CommandFailure {
    Optional<String> before = stty("-g");
    if (before.isEmpty()) {
      return Optional.empty();
    }
    LocalTerminal terminal = new LocalTerminal(before.get());
    Runtime.getRuntime().addShutdownHook(terminal.atExit);
    if (stty("raw", "-echo").isEmpty()) {
      terminal.close();
      throw new CommandFailure(
          "the terminal can't be made raw; try another one, or: podflare exec");
    }
    return Optional.of(terminal);
  }

  /** Its size; the usual one if standard input is no terminal, or doesn't know. */
  static Size size() throws CommandFailure {
    Matcher told = SIZE.matcher(stty("size").orElse(""));
    if (!told.matches()) {
      return Size.USUAL;
    }
    Size size = new Size(Integer.parseInt(told.group(2)), Integer.parseInt(told.group(1)));
    return size.cols() < 1 || size.rows() < 1 || size.cols() > 10_000 || size.rows() > 10_000
        ? Size.USUAL
        : size;
  }

  private void restore() {
    try {
      var _ = stty(before);
    } catch (CommandFailure e) {
      System.err.println("podflare: the terminal is still raw; to mend it, type: stty sane");
    }
  }

  @Override
  public void close() {
    restore();
    try {
      Runtime.getRuntime().removeShutdownHook(atExit);
    } catch (IllegalStateException ending) {
      // Then it runs once more, and changes nothing.
    }
  }

  /** What stty says of standard input; empty if that is no terminal. */
  private static Optional<String> stty(String... arguments) throws CommandFailure {
    List<String> command = new ArrayList<>(List.of("stty"));
    command.addAll(List.of(arguments));
    try {
      Process stty =
          new ProcessBuilder(command)
              .redirectInput(ProcessBuilder.Redirect.INHERIT)
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start();
      String said =
          new String(stty.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
      return stty.waitFor(10, TimeUnit.SECONDS) && stty.exitValue() == 0
          ? Optional.of(said)
          : Optional.empty();
    } catch (IOException e) {
      throw new CommandFailure("stty can't be run, which belongs to coreutils", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CommandFailure("interrupted", e);
    }
  }
}
