package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Ids;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.text.InWords;
import dev.podflare.cli.text.JsonText;
import dev.podflare.cli.text.Table;
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
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Says which sandboxes there are. */
@Command(
    name = "list",
    description = "Lists the open sandboxes, oldest first.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class ListCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Option(
      names = {"-q", "--ids"},
      description = "Only their ids, in full length.")
  private boolean idsOnly;

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    List<JsonNode> sandboxes = client.api().sandboxes();
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(JsonText.of(JsonMapper.shared().valueToTree(sandboxes)));
    } else if (idsOnly) {
      Names.ids(sandboxes).forEach(out::println);
    } else {
      table(sandboxes, Clock.systemUTC().instant()).printTo(out);
    }
    return 0;
  }

  private static Table table(List<JsonNode> sandboxes, Instant now) {
    Ids ids = Ids.ofSandboxes(Names.ids(sandboxes));
    Table table = new Table().row("SANDBOX", "STATE", "TEMPLATE", "GEN", "AGE", "MEMORY");
    for (JsonNode sandbox : sandboxes) {
      Instant created = Instant.ofEpochMilli(sandbox.path("created_at").asLong());
      table.row(
          ids.shorten(sandbox.path("id").asString()),
          sandbox.path("state").asString(),
          sandbox.path("template").asString(),
          sandbox.path("generation").asString(),
          InWords.age(Duration.between(created, now)),
          InWords.bytes(sandbox.path("memory_used_bytes").asLong()));
    }
    return table;
  }
}
