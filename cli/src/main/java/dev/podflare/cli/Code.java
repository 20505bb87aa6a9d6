package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.FileProblem;
import dev.podflare.cli.text.Style;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/**
 * What {@code exec} is to run, and where.
 *
 * @param sandbox the one that was named; empty for a new one
 */
record Code(Optional<String> sandbox, Language language, String text) {

  private static final String END_OF_OPTIONS = "--";
  private static final String STANDARD_INPUT = "-";

  /** One word that names a file of code: who types that hardly means an expression. */
  private static final Pattern FILE = Pattern.compile("\\S+\\.(py|sh|bash)");

  private static final Pattern WHOLE_OR_KIND = Pattern.compile("sbx_[0-9a-f]{1,32}");
  private static final Pattern PLAIN = Pattern.compile("[A-Za-z0-9_@%+=:,./-]+");

  /**
   * Makes sense of the words of a command line.
   *
   * @param words all that are no options, those behind {@code --} among them
   * @param language the option's, if it was given
   * @param option the sandbox that {@code --sandbox} names
   */
  static Code of(
      CommandSpec spec, List<String> words, @Nullable Language language, Optional<String> option)
      throws CommandFailure {
    List<String> command = behindEndOfOptions(spec);
    List<String> front = words.subList(0, words.size() - command.size());
    Optional<String> sandbox = option;
    Optional<String> code = Optional.empty();
    boolean isAlone = front.size() == 1;
    boolean isSandbox =
        isAlone && (!command.isEmpty() || WHOLE_OR_KIND.matcher(front.getFirst()).matches());
    if (front.size() > 2 || (front.size() == 2 && !command.isEmpty())) {
      throw new ParameterException(
          spec.commandLine(),
          "there are too many words; put code into quotes, or a command behind --: "
              + front.getLast());
    }
    if (isSandbox || front.size() == 2) {
      if (option.isPresent()) {
        throw new ParameterException(
            spec.commandLine(), "the sandbox is named twice: " + front.getFirst());
      }
      sandbox = Optional.of(front.getFirst());
    }
    if (!front.isEmpty() && !isSandbox) {
      code = Optional.of(front.getLast());
    }
    if (!command.isEmpty()) {
      if (language == Language.PYTHON) {
        throw new ParameterException(
            spec.commandLine(), "words behind -- are a command for bash, not python");
      }
      return new Code(sandbox, Language.BASH, quoted(command));
    }
    return code.isPresent()
        ? given(sandbox, code.get(), language)
        : new Code(sandbox, orPython(language), typed(spec));
  }

  /** picocli takes the mark away, so it is looked for in what was typed. */
  private static List<String> behindEndOfOptions(CommandSpec spec) {
    List<String> typed = spec.commandLine().getParseResult().originalArgs();
    int mark = typed.indexOf(END_OF_OPTIONS);
    return mark < 0 ? List.of() : typed.subList(mark + 1, typed.size());
  }

  private static Code given(Optional<String> sandbox, String code, @Nullable Language language)
      throws CommandFailure {
    if (code.equals(STANDARD_INPUT)) {
      return new Code(sandbox, orPython(language), standardInput());
    }
    if (!FILE.matcher(code).matches()) {
      return new Code(sandbox, orPython(language), code);
    }
    Path file = Path.of(code);
    Language byName = code.endsWith(".py") ? Language.PYTHON : Language.BASH;
    try {
      return new Code(sandbox, language == null ? byName : language, Files.readString(file));
    } catch (IOException e) {
      throw new CommandFailure("the file can't be run: " + FileProblem.of(file, e), e);
    }
  }

  private static Language orPython(@Nullable Language language) {
    return language == null ? Language.PYTHON : language;
  }

  private static String typed(CommandSpec spec) throws CommandFailure {
    if (Style.isTerminal(0)) {
      throw new ParameterException(spec.commandLine(), "CODE is missing");
    }
    String code = standardInput();
    if (code.isBlank()) {
      throw new ParameterException(
          spec.commandLine(), "CODE is missing, and standard input is empty");
    }
    return code;
  }

  private static String standardInput() throws CommandFailure {
    try {
      return new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new CommandFailure("standard input can't be read: " + e.getMessage(), e);
    }
  }

  private static String quoted(List<String> command) {
    List<String> words = new ArrayList<>(command);
    return words.stream().map(Code::quoted).collect(Collectors.joining(" "));
  }

  /** So that bash takes it as one word. */
  static String quoted(String word) {
    return PLAIN.matcher(word).matches() ? word : "'" + word.replace("'", "'\\''") + "'";
  }
}
