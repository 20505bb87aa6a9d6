package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.ServerAddress;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.JsonText;
import dev.podflare.cli.text.Style;
import dev.podflare.cli.text.Version;
import java.io.PrintWriter;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Says which server the commands ask, and what it holds. */
@Command(
    name = "status",
    description =
        "Says which server the commands ask, and what it holds. Exit code 3 if none answers.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class StatusCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    JsonNode capacity = api.get("/v1/capacity");
    Optional<ServerRecord> local = ServerRecord.of(api.address());
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(
          JsonText.of(JsonMapper.shared().valueToTree(all(api.address(), local, capacity))));
    } else {
      print(api.address(), local, capacity, out);
    }
    return 0;
  }

  private static Map<String, Object> all(
      ServerAddress server, Optional<ServerRecord> local, JsonNode capacity) {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("server", server.url());
    all.put("server_from", server.urlSource());
    all.put("address", server.url().replaceFirst("^https?://", ""));
    local.ifPresent(here -> {
      all.put("pid", here.process().pid());
      all.put("isolation", here.isolation());
      all.put("isolation_reason", here.isolationReason());
      all.put("engine", here.engine());
      all.put("version", here.version());
      all.put("data_dir", ServerOptions.configuredDataDirectory().toString());
    });
    capacity.properties().forEach(entry -> all.put(entry.getKey(), entry.getValue()));
    all.put("pool", capacity.path("pools"));
    return all;
  }

  private void print(
      ServerAddress server, Optional<ServerRecord> local, JsonNode capacity, PrintWriter out) {
    Style style = client.style();
    out.printf("server     %s%n", style.bold(server.url()));
    out.printf("found in   %s%n", server.urlSource());
    local.ifPresent(here -> {
      out.printf("process    %d, version %s%n", here.process().pid(), here.version());
      out.printf("isolation  %s (%s)%n", here.isolation(), here.isolationReason());
      out.printf("engine     %s%n", here.engine());
    });
    out.printf("           %s%n", capacity.path("isolation_promise").asString());
    out.printf(
        "sandboxes  %d; room for %d more%n",
        capacity.path("sandboxes").asInt(), capacity.path("room_for").asInt());
    for (JsonNode pool : capacity.path("pools")) {
      out.printf(
          "pool       %s: %d of %d ready%n",
          pool.path("template").asString(),
          pool.path("ready").asInt(),
          pool.path("target").asInt());
    }
  }
}
