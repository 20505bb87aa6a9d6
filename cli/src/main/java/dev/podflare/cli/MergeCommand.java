package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.Refusal;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.DifferenceText;
import dev.podflare.cli.text.JsonText;
import dev.podflare.cli.text.Printable;
import dev.podflare.cli.text.Version;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;

/** Merges a sandbox into one of its family. */
@Command(
    name = "merge",
    description = {
      "Merges a sandbox into one of its family.",
      "At once the parent's id drives the winner's machine, and the winner's id is closed; with --files, only the files that the winner changed since its fork are applied to the parent."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class MergeCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(index = "0", paramLabel = "PARENT", description = "Whose id stays; may be cut short.")
  private String parent;

  @Parameters(index = "1", paramLabel = "WINNER", description = "What is merged into it.")
  private String winner;

  @Option(names = "--files", description = "Merge files only, and keep the parent's machine.")
  private boolean files;

  @Option(names = "--dry-run", description = "Say what would be done, and do nothing.")
  private boolean dryRun;

  @Option(
      names = "--path",
      paramLabel = "PATH",
      description =
          "With --files: only files under it (default: /root and /tmp). May be given often.")
  private List<String> paths = new ArrayList<>();

  /** Whose file is taken where both sides changed it. */
  enum OnConflict {
    FAIL,
    WINNER,
    PARENT;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  @Option(
      names = "--on-conflict",
      description =
          "With --files: whose file is taken where both sides changed it: fail (nobody's, and nothing"
              + " is merged), winner or parent (default: fail).")
  private OnConflict onConflict = OnConflict.FAIL;

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    Names names = new Names(api);
    String kept = names.sandbox(parent);
    String merged = names.sandbox(winner);
    try {
      show(api.post("/v1/sandboxes/" + kept + "/merge_into/" + merged, wanted()));
      if (!dryRun && !json) {
        spec.commandLine()
            .getErr()
            .println(
                files
                    ? "merged the files of " + merged + " into " + kept
                    : "merged: " + kept + " now drives the machine of " + merged);
      }
    } catch (Refusal refusal) {
      if (json) {
        spec.commandLine().getOut().println(JsonText.of(refusal.answer()));
      } else {
        printConflicts(refusal.answer());
      }
      throw refusal;
    }
    return 0;
  }

  private Map<String, Object> wanted() {
    Map<String, Object> wanted = new HashMap<>();
    wanted.put("mode", files ? "files" : "swap");
    wanted.put("dry_run", dryRun);
    wanted.put("on_conflict", onConflict.toString());
    if (!paths.isEmpty()) {
      wanted.put("paths", paths);
    }
    return wanted;
  }

  private void show(JsonNode report) {
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(report.isMissingNode() ? "{}" : JsonText.of(report));
      return;
    }
    DifferenceText.printPaths(report, out, client.style());
    printConflicts(report);
    if (dryRun) {
      spec.commandLine().getErr().println("Nothing was changed: this was a dry run.");
    }
  }

  private void printConflicts(JsonNode answer) {
    for (JsonNode conflict : answer.path("conflicts")) {
      spec.commandLine()
          .getOut()
          .printf(
              "! %s  (%s by the parent, %s by the winner)%n",
              Printable.line(conflict.path("path").asString()),
              conflict.path("parent").asString(),
              conflict.path("winner").asString());
    }
  }
}
