package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Ids;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.InWords;
import dev.podflare.cli.text.JsonText;
import dev.podflare.cli.text.Printable;
import dev.podflare.cli.text.Style;
import dev.podflare.cli.text.Table;
import dev.podflare.cli.text.Version;
import java.io.PrintWriter;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Lists sandboxes. */
@Command(
    name = "list",
    aliases = {"ls", "ps"},
    description = "Lists the open sandboxes, oldest first.",
    footer = {
      "",
      "LEFT is the time until an unused sandbox is closed, or freezes if it is persistent.",
      "",
      "Examples:",
      "  podflare ls --metadata stage=test",
      "  podflare close $(podflare ls -q --state ready)"
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class ListCommand implements Callable<Integer> {

  private static final long WATCH_SECONDS = 2;
  private static final String CLEAR_SCREEN = "\033[H\033[2J";

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Option(
      names = {"-q", "--ids"},
      description = "Only their ids, in full length.")
  private boolean idsOnly;

  @Option(
      names = {"-a", "--all"},
      description = "Closed ones too, of families of which something is left.")
  private boolean all;

  @Option(names = "--state", description = "Only those in this state, such as ready or running.")
  private @Nullable String state;

  @Option(names = "--template", description = "Only those created from this template.")
  private @Nullable String template;

  @Option(
      names = "--metadata",
      paramLabel = "NAME=VALUE",
      description = "Only those with this mark.")
  private Map<String, String> metadata = new HashMap<>();

  @Option(
      names = {"-w", "--watch"},
      description = "Show them anew every 2 seconds, until Ctrl-C.")
  private boolean watch;

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    print(api);
    while (watch) {
      try {
        TimeUnit.SECONDS.sleep(WATCH_SECONDS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return 0;
      }
      if (Style.isTerminal(1)) {
        spec.commandLine().getOut().print(CLEAR_SCREEN);
      }
      print(api);
    }
    return 0;
  }

  private void print(ServerApi api) throws CommandFailure {
    List<JsonNode> sandboxes = api.sandboxes().stream().filter(this::isWanted).toList();
    List<JsonNode> closed = all ? closedFamily(api) : List.of();
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      List<JsonNode> both = new ArrayList<>(closed);
      both.addAll(sandboxes);
      out.println(JsonText.of(JsonMapper.shared().valueToTree(both)));
    } else if (idsOnly) {
      Names.ids(closed).forEach(out::println);
      Names.ids(sandboxes).forEach(out::println);
    } else {
      table(sandboxes, closed, Clock.systemUTC().instant()).printTo(out, client.style());
    }
    out.flush();
  }

  private boolean isWanted(JsonNode sandbox) {
    return (state == null || sandbox.path("state").asString().equals(state))
        && (template == null || sandbox.path("template").asString().equals(template))
        && metadata.entrySet().stream()
            .allMatch(mark ->
                mark.getValue()
                    .equals(sandbox.path("metadata").path(mark.getKey()).asString(null)));
  }

  /** What is known of a closed sandbox is its place in its family, so no other filter applies. */
  private List<JsonNode> closedFamily(ServerApi api) throws CommandFailure {
    Set<String> roots = new LinkedHashSet<>();
    api.sandboxes().forEach(sandbox -> roots.add(sandbox.path("family").asString()));
    api.spaces().forEach(space -> roots.add(space.path("family").asString()));
    List<JsonNode> closed = new ArrayList<>();
    for (String root : roots) {
      for (JsonNode member : api.get("/v1/sandboxes/" + root + "/family").path("sandboxes")) {
        if (member.path("closed_at").isNumber()) {
          closed.add(member);
        }
      }
    }
    return closed;
  }

  static Table table(List<JsonNode> sandboxes, List<JsonNode> closed, Instant now) {
    List<JsonNode> both = new ArrayList<>(closed);
    both.addAll(sandboxes);
    Ids ids = Ids.ofSandboxes(Names.ids(both));
    Table table =
        new Table()
            .head(
                "SANDBOX",
                "NAME",
                "STATE",
                "TEMPLATE",
                "GEN",
                "AGE",
                "LEFT",
                "MEMORY",
                "EGRESS",
                "METADATA");
    for (JsonNode sandbox : closed) {
      table.row(
          ids.shorten(sandbox.path("id").asString()),
          "",
          sandbox.path("end").asString("closed").replace('_', ' '),
          "",
          sandbox.path("generation").asString(),
          age(sandbox, now));
    }
    for (JsonNode sandbox : sandboxes) {
      table.row(
          ids.shorten(sandbox.path("id").asString()),
          Printable.line(sandbox.path("metadata").path(Names.NAME).asString("")),
          sandbox.path("state").asString(),
          sandbox.path("template").asString(),
          sandbox.path("generation").asString(),
          age(sandbox, now),
          InWords.timeLeft(sandbox, now),
          InWords.bytes(sandbox.path("memory_used_bytes").asLong()),
          sandbox.path("egress").asBoolean(true) ? "" : "none",
          marks(sandbox.path("metadata")));
    }
    return table.withoutEmptyColumns();
  }

  private static String age(JsonNode sandbox, Instant now) {
    return InWords.age(
        Duration.between(Instant.ofEpochMilli(sandbox.path("created_at").asLong()), now));
  }

  private static String marks(JsonNode metadata) {
    return metadata.properties().stream()
        .filter(mark -> !mark.getKey().equals(Names.NAME))
        .map(mark -> Printable.line(mark.getKey() + "=" + mark.getValue().asString("")))
        .collect(Collectors.joining(" "));
  }
}
