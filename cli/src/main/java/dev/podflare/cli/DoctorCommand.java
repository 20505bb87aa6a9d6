package dev.podflare.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.json.JsonMapper;

/** Examines the host. */
@Command(
    name = "doctor",
    description = {
      "Checks every precondition, says its state, and how to mend it.",
      "Exit code 1 if something is missing without which no sandbox can run."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class DoctorCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ServerOptions server = new ServerOptions();

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    List<Finding> findings = Examination.of(server.dataDirectory(), UpCommand.imageDirectory());
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(
          JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsString(findings));
    } else {
      for (Finding finding : findings) {
        out.printf("%-7s %-18s %s%n", finding.state().word(), finding.what(), finding.detail());
        if (!finding.remedy().isEmpty()) {
          out.printf("%-7s %-18s → %s%n", "", "", finding.remedy());
        }
      }
    }
    return findings.stream().anyMatch(finding -> finding.state() == Finding.State.MISSING)
        ? CommandFailure.FAILED
        : 0;
  }
}
