package dev.podflare.cli.repl;

import dev.podflare.cli.text.Style;
import java.io.BufferedReader;
import java.io.Console;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Where lines are typed: the JDK's line editor on a terminal, else standard input as it is. */
sealed interface Prompt {

  /** Ctrl-C was typed in the middle of a line. */
  final class GivenUpException extends Exception {
    private static final long serialVersionUID = 1L;

    private GivenUpException(Throwable cause) {
      super("the line was given up", cause);
    }
  }

  /** The next line; null at the end of the input. */
  @Nullable String line(String prompt) throws IOException, GivenUpException;

  boolean isByHand();

  static Prompt open() {
    return Optional.ofNullable(System.console())
        .filter(_ -> Style.isTerminal(0) && Style.isTerminal(1))
        .<Prompt>map(Edited::new)
        .orElseGet(Prompt::piped);
  }

  private static Prompt piped() {
    return new Piped(new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)));
  }

  /** With editing, and the lines of before on the arrow keys. */
  record Edited(Console console) implements Prompt {

    /** What the JDK's line editor throws at Ctrl-C is in no package that it exports. */
    private static final String INTERRUPTED = "UserInterruptException";

    @Override
    public @Nullable String line(String prompt) throws GivenUpException {
      try {
        return console.readLine("%s", prompt);
      } catch (RuntimeException e) {
        if (e.getClass().getSimpleName().equals(INTERRUPTED)) {
          throw new GivenUpException(e);
        }
        throw e;
      }
    }

    @Override
    public boolean isByHand() {
      return true;
    }
  }

  /** Without a prompt, which nobody would see. */
  record Piped(BufferedReader input) implements Prompt {

    @Override
    public @Nullable String line(String prompt) throws IOException {
      return input.readLine();
    }

    @Override
    public boolean isByHand() {
      return false;
    }
  }
}
