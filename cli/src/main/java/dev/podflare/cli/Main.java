package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.completion.CompletionCommand;
import dev.podflare.cli.completion.NamesCommand;
import dev.podflare.cli.repl.ReplCommand;
import dev.podflare.cli.sandbox.CpCommand;
import dev.podflare.cli.sandbox.InfoCommand;
import dev.podflare.cli.sandbox.InterruptCommand;
import dev.podflare.cli.sandbox.LogsCommand;
import dev.podflare.cli.text.Version;
import java.io.OutputStreamWriter;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** The podflare command. */
@Command(
    name = "podflare",
    description =
        "Runs an AI agent's code in a microVM of its own, and keeps it alive between calls.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    footer = {
      "",
      "In a checkout also: build (the program alone), test (the tests; --all has the slow ones too),",
      "bench (measures a server), rig (the tests on KVM).",
      "",
      "ID is a sandbox's id, which may be cut short as long as no other begins so, or its name.",
      "The server is the one of --server, $PODFLARE_HOSTD_URL, or ~/.config/podflare/config.json.",
      "",
      "Exit codes: 0 done; 1 it failed, and said why; 2 the command line is wrong; 3 no server runs.",
      "exec, attach and shell end with the exit code of what they ran.",
      "Shell completion: source <(podflare generate-completion)"
    })
final class Main implements Runnable {

  /** In the order of the help. */
  private static final List<Class<?>> COMMANDS =
      List.of(
          UpCommand.class,
          DownCommand.class,
          StatusCommand.class,
          DoctorCommand.class,
          EnvCommand.class,
          ExecCommand.class,
          ReplCommand.class,
          ShellCommand.class,
          CpCommand.class,
          LogsCommand.class,
          CreateCommand.class,
          ListCommand.class,
          InfoCommand.class,
          CloseCommand.class,
          InterruptCommand.class,
          ExecsCommand.class,
          AttachCommand.class,
          ForkCommand.class,
          TreeCommand.class,
          DiffCommand.class,
          MergeCommand.class,
          FreezeCommand.class,
          ResumeCommand.class,
          SpacesCommand.class,
          TemplateCommand.class,
          McpCommand.class,
          WorkerCommand.class,
          VersionCommand.class,
          CompletionCommand.class,
          NamesCommand.class);

  /** As {@code mixinStandardHelpOptions} calls it. */
  private static final List<String> VERSION = List.of("--version", "-V");

  @Spec
  @SuppressWarnings("NullAway.Init") // picocli sets it before run().
  private CommandSpec spec;

  public static void main(String[] arguments) {
    Locale.setDefault(Locale.ROOT);
    ServerLog.keepQuiet();
    PrintWriter out = utf8(System.out);
    PrintWriter error = utf8(System.err);
    int code = commandLine(arguments).setOut(out).setErr(error).execute(arguments);
    out.flush();
    error.flush();
    System.out.flush();
    System.exit(code);
  }

  /** What a guest says is Unicode, whatever the terminal's locale is. */
  private static PrintWriter utf8(PrintStream to) {
    return new PrintWriter(new OutputStreamWriter(to, StandardCharsets.UTF_8), true);
  }

  /**
   * A command line that understands these arguments. If they begin with a command, it knows no
   * other, and none if they ask for the version: to read the annotations of all of them takes
   * longer than most of them run.
   */
  static CommandLine commandLine(String... arguments) {
    CommandLine commandLine = new CommandLine(new Main());
    String first = arguments.length == 0 ? "" : arguments[0];
    Optional<Class<?>> meant = commandOfName(first);
    if (meant.isPresent() && meant.get() != CompletionCommand.class) {
      commandLine.addSubcommand(meant.get());
    } else if (!VERSION.contains(first)) {
      COMMANDS.forEach(commandLine::addSubcommand);
      commandLine.addSubcommand(CommandLine.HelpCommand.class);
    }
    return commandLine
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setParameterExceptionHandler(UsageErrors::explain)
        .setExecutionExceptionHandler(Main::explain);
  }

  private static Optional<Class<?>> commandOfName(String name) {
    return COMMANDS.stream()
        .filter(command -> isCalled(command.getAnnotation(Command.class), name))
        .findFirst();
  }

  private static boolean isCalled(Command command, String name) {
    return command.name().equals(name) || List.of(command.aliases()).contains(name);
  }

  @Override
  public void run() {
    throw new CommandLine.ParameterException(
        spec.commandLine(), "say what to do, for example: podflare up");
  }

  /** What a command could not do is a sentence for the user; anything else is a defect of ours. */
  private static int explain(
      Exception failure, CommandLine commandLine, CommandLine.ParseResult parsed) {
    if (failure instanceof CommandFailure expected) {
      commandLine.getErr().println("podflare: " + expected.getMessage());
      return expected.exitCode();
    }
    commandLine
        .getErr()
        .println(
            "podflare: something broke that should not: "
                + failure
                + "\nRun it again with PODFLARE_DEBUG=1 to see where.");
    if (System.getenv("PODFLARE_DEBUG") != null) {
      failure.printStackTrace(commandLine.getErr());
    }
    return CommandFailure.FAILED;
  }
}
