package dev.podflare.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * What is said of a command line that is wrong: one line, and where the help is. The whole usage
 * behind it would scroll the message away.
 */
final class UsageErrors {

  private static final Pattern WRONG_TYPE =
      Pattern.compile(
          "Invalid value for (?:option '(?<option>[^']+)'[^:]*|positional parameter[^(]*\\((?<label>[^)]*)\\)):"
              + " '(?<value>.*)' is not an? (?<type>\\w+)",
          Pattern.DOTALL);
  private static final Pattern WRONG_WORD =
      Pattern.compile(
          "Invalid value for option '(?<option>[^']+)'.*: expected one of \\[(?<words>[^]]*)\\].*but was '(?<value>.*)'",
          Pattern.DOTALL);
  private static final Pattern NO_PAIR =
      Pattern.compile(
          "Value for option option '(?<option>[^']+)' .* should be in KEY=VALUE.*format but was (?<value>.*)",
          Pattern.DOTALL);
  private static final Pattern MISSING =
      Pattern.compile("Missing required parameters?: (?<names>.*)", Pattern.DOTALL);
  private static final Pattern NO_VALUE =
      Pattern.compile(
          "(?:Missing required parameter for|Expected parameter for|Expected parameter \\d.* for) option '(?<option>[^']+)'.*",
          Pattern.DOTALL);

  private UsageErrors() {}

  /** Says what is wrong, and returns the exit code. */
  static int explain(ParameterException wrong, String... arguments) {
    CommandLine command = wrong.getCommandLine();
    PrintWriter error = command.getErr();
    String name = command.getCommandSpec().qualifiedName();
    error.println("podflare: " + sentence(wrong));
    error.println("See: " + name + " --help");
    return command.getCommandSpec().exitCodeOnInvalidInput();
  }

  private static String sentence(ParameterException wrong) {
    if (wrong instanceof UnmatchedArgumentException unmatched
        && !unmatched.getUnmatched().isEmpty()) {
      return unmatched(unmatched);
    }
    String message = String.valueOf(wrong.getMessage());
    Matcher matcher = WRONG_TYPE.matcher(message);
    if (matcher.find()) {
      String option = matcher.group("option");
      return "%s must be %s, but is %s"
          .formatted(
              option == null ? matcher.group("label") : option,
              type(matcher.group("type")),
              matcher.group("value"));
    }
    matcher = WRONG_WORD.matcher(message);
    if (matcher.find()) {
      return "%s must be %s, but is %s"
          .formatted(
              matcher.group("option"),
              matcher.group("words").toLowerCase(Locale.ROOT).replace(", ", " or "),
              matcher.group("value"));
    }
    matcher = NO_PAIR.matcher(message);
    if (matcher.find()) {
      return matcher.group("option") + " must be NAME=VALUE, but is " + matcher.group("value");
    }
    matcher = MISSING.matcher(message);
    if (matcher.find()) {
      String names = matcher.group("names").replace("'", "");
      return names.replace(", ", " and ") + (names.contains(", ") ? " are" : " is") + " missing";
    }
    matcher = NO_VALUE.matcher(message);
    return matcher.matches() ? matcher.group("option") + " needs a value" : message;
  }

  private static String type(String javaType) {
    return switch (javaType) {
      case "int", "long" -> "a whole number";
      case "double" -> "a number";
      default -> "a " + javaType;
    };
  }

  private static String unmatched(UnmatchedArgumentException wrong) {
    String first = wrong.getUnmatched().getFirst();
    List<String> similar = wrong.getSuggestions();
    String meant = similar.isEmpty() ? "" : "; did you mean " + similar.getFirst() + "?";
    if (wrong.isUnknownOption()) {
      return "there is no option " + first + meant;
    }
    boolean hasCommands = !wrong.getCommandLine().getSubcommands().isEmpty();
    return (hasCommands ? "there is no command " : "there is one argument too many: ")
        + first
        + meant;
  }
}
