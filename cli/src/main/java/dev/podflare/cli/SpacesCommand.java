package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Ids;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.InWords;
import dev.podflare.cli.text.JsonText;
import dev.podflare.cli.text.Table;
import dev.podflare.cli.text.Version;
import java.io.PrintWriter;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
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

/** Says which Spaces there are, and deletes them. */
@Command(
    name = "spaces",
    description = "Lists the Spaces, oldest first; deletes them.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class SpacesCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    List<JsonNode> spaces = client.api().spaces();
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(JsonText.of(JsonMapper.shared().valueToTree(spaces)));
    } else {
      table(spaces, Clock.systemUTC().instant()).printTo(out, client.style());
    }
    return 0;
  }

  @Command(
      name = "delete",
      description = "Deletes Spaces. Sandboxes that were resumed from them live on.",
      mixinStandardHelpOptions = true,
      versionProvider = Version.class)
  int delete(
      @Mixin ClientOptions client,
      @Parameters(
              paramLabel = "SPACE",
              arity = "1..*",
              description = "Which ones; may be cut short.")
          List<String> given)
      throws CommandFailure {
    ServerApi api = client.api();
    Names names = new Names(api);
    List<String> meant = new ArrayList<>();
    for (String id : given) {
      meant.add(names.space(id));
    }
    for (String id : meant) {
      api.delete("/v1/spaces/" + id);
      spec.commandLine().getErr().println("deleted " + id);
    }
    return 0;
  }

  private static Table table(List<JsonNode> spaces, Instant now) {
    Ids ids = Ids.ofSpaces(Names.ids(spaces));
    Ids sandboxes =
        Ids.ofSandboxes(spaces.stream().map(space -> space.path("sandbox").asString()).toList());
    Table table = new Table().head("SPACE", "WAS", "TEMPLATE", "GEN", "AGE", "ON DISK", "");
    for (JsonNode space : spaces) {
      Instant created = Instant.ofEpochMilli(space.path("created_at").asLong());
      table.row(
          ids.shorten(space.path("id").asString()),
          sandboxes.shorten(space.path("sandbox").asString()),
          space.path("template").asString(),
          space.path("generation").asString(),
          InWords.age(Duration.between(created, now)),
          InWords.bytes(space.path("disk_bytes").asLong()),
          space.path("held_by").isNull() ? "" : "asleep: its next call wakes it");
    }
    return table;
  }
}
