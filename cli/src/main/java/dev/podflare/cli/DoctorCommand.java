package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.Style;
import dev.podflare.cli.text.Version;
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
      "Checks every precondition of this host, and says how to mend what is missing;"
          + " and whether the server answers that the other commands ask.",
      "Exit code 1 if something is missing without which no sandbox can run."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class DoctorCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  /** The server that the other commands ask, which need not be on this machine. */
  private Finding server() {
    try {
      ServerApi api = client.api();
      int sandboxes = api.get("/v1/capacity").path("sandboxes").asInt();
      return Finding.ok("server", api.address().inWords() + " serves; its sandboxes: " + sandboxes);
    } catch (CommandFailure none) {
      return Finding.note("server", String.valueOf(none.getMessage()), "");
    }
  }

  @Override
  public Integer call() throws CommandFailure {
    List<Finding> findings =
        Examination.of(
            ServerOptions.configuredDataDirectory(), UpCommand.imageDirectory(), this::server);
    PrintWriter out = spec.commandLine().getOut();
    Style style = client.style();
    if (json) {
      out.println(
          JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsString(findings));
    } else {
      for (Finding finding : findings) {
        String word = finding.state().word();
        out.printf(
            "%s%s %-18s %s%n",
            style.state(word), " ".repeat(7 - word.length()), finding.what(), finding.detail());
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
