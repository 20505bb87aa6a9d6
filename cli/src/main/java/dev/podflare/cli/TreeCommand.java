package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.JsonText;
import dev.podflare.cli.text.Version;
import java.io.PrintWriter;
import java.time.Clock;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Draws families. */
@Command(
    name = "tree",
    description = {
      "Draws families of sandboxes: who was forked from whom, and what became of them.",
      "Without an id, every family of which something is left: an open sandbox or a Space."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class TreeCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(
      paramLabel = "ID",
      arity = "0..1",
      description = "One of a family, open or closed; an id may be cut short.")
  private @Nullable String member;

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    List<JsonNode> open = api.sandboxes();
    List<JsonNode> spaces = api.spaces();
    List<JsonNode> families = new ArrayList<>();
    for (String id : roots(api, open, spaces)) {
      families.add(api.get("/v1/sandboxes/" + id + "/family"));
    }
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(JsonText.of(JsonMapper.shared().valueToTree(families)));
    } else {
      FamilyTree.of(families, open, spaces, Clock.systemUTC().instant())
          .printTo(out, client.style());
    }
    return 0;
  }

  private Collection<String> roots(ServerApi api, List<JsonNode> open, List<JsonNode> spaces)
      throws CommandFailure {
    String given = member;
    if (given != null) {
      return List.of(new Names(api).sandboxEver(given));
    }
    Set<String> roots = new LinkedHashSet<>();
    open.forEach(sandbox -> roots.add(sandbox.path("family").asString()));
    spaces.forEach(space -> roots.add(space.path("family").asString()));
    return roots;
  }
}
