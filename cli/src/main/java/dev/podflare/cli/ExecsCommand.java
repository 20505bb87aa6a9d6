package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Ids;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.InWords;
import dev.podflare.cli.text.JsonText;
import dev.podflare.cli.text.Printable;
import dev.podflare.cli.text.Table;
import dev.podflare.cli.text.Version;
import java.io.PrintWriter;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Says what runs in a sandbox, and what has run. */
@Command(
    name = "execs",
    description = "Lists a sandbox's execs that wait or run, and the last that have ended.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class ExecsCommand implements Callable<Integer> {

  private static final int MOST_CODE = 50;

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(paramLabel = "ID", description = "Which sandbox; an id may be cut short.")
  private String sandbox;

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    List<JsonNode> execs = api.execs(new Names(api).sandbox(sandbox));
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(JsonText.of(JsonMapper.shared().valueToTree(execs)));
    } else {
      table(execs, Clock.systemUTC().instant()).printTo(out, client.style());
    }
    return 0;
  }

  private static Table table(List<JsonNode> execs, Instant now) {
    Ids ids = Ids.ofExecs(Names.ids(execs));
    Table table = new Table().head("EXEC", "LANGUAGE", "STATE", "EXIT", "AGE", "EVENTS", "CODE");
    for (JsonNode exec : execs) {
      Instant created = Instant.ofEpochMilli(exec.path("created_at").asLong());
      table.row(
          ids.shorten(exec.path("id").asString()),
          exec.path("language").asString() + (exec.path("background").asBoolean() ? " &" : ""),
          exec.path("state").asString(),
          exec.path("exit_code").isNull()
              ? ""
              : exec.path("exit_code").asString() + " " + exec.path("reason").asString(),
          InWords.age(Duration.between(created, now)),
          exec.path("events").asString(),
          beginning(Printable.line(exec.path("code").asString())));
    }
    return table;
  }

  private static String beginning(String code) {
    return code.codePointCount(0, code.length()) <= MOST_CODE
        ? code
        : code.substring(0, code.offsetByCodePoints(0, MOST_CODE)) + "…";
  }
}
