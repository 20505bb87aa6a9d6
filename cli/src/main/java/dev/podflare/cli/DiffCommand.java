package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.DifferenceText;
import dev.podflare.cli.text.JsonText;
import dev.podflare.cli.text.Version;
import java.io.PrintWriter;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
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

/** Shows what differs between two sandboxes. */
@Command(
    name = "diff",
    description = "Shows what differs between two sandboxes, seen from A to B.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class DiffCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(index = "0", paramLabel = "A", description = "A sandbox; ids may be cut short.")
  private String from;

  @Parameters(index = "1", paramLabel = "B", description = "The sandbox that it is compared with.")
  private String to;

  @Option(
      names = "--path",
      paramLabel = "PATH",
      description = "Compare files under it (default: /root and /tmp). May be given often.")
  private List<String> paths = new ArrayList<>();

  @Option(names = "--text", description = "Show the changes of small text files line by line.")
  private boolean text;

  @Option(names = "--files-only", description = "Without the Python variables.")
  private boolean filesOnly;

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    Names names = new Names(api);
    JsonNode difference =
        api.get("/v1/sandboxes/" + names.sandbox(from) + "/diff/" + names.sandbox(to) + query());
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(JsonText.of(difference));
    } else {
      DifferenceText.print(difference, out, client.style());
    }
    return 0;
  }

  private String query() {
    StringBuilder query = new StringBuilder("?text=" + text + "&variables=" + !filesOnly);
    for (String path : paths) {
      query.append("&path=").append(URLEncoder.encode(path, StandardCharsets.UTF_8));
    }
    return query.toString();
  }
}
