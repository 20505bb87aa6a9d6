package dev.podflare.cli;

import java.io.PrintWriter;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Says what the server is and holds. */
@Command(
    name = "status",
    description = "Says what the server is and holds. Exit code 3 if none runs.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class StatusCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ServerOptions server = new ServerOptions();

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    ServerRecord running = ServerRecord.require(server.dataDirectory());
    JsonNode capacity = LocalApi.of(server.dataDirectory()).get("/v1/capacity");
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      Map<String, Object> all = new LinkedHashMap<>();
      all.put("pid", running.process().pid());
      all.put("address", running.address());
      all.put("isolation", running.isolation());
      all.put("isolation_reason", running.isolationReason());
      all.put("engine", running.engine());
      all.put("version", running.version());
      all.put("data_dir", server.dataDirectory().toString());
      capacity.properties().forEach(entry -> all.put(entry.getKey(), entry.getValue()));
      all.put("sandboxes", capacity.path("sandboxes"));
      all.put("pool", capacity.path("pools"));
      out.println(JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsString(all));
    } else {
      out.printf("serves     http://%s (process %d)%n", running.address(), running.process().pid());
      out.printf("isolation  %s (%s)%n", running.isolation(), running.isolationReason());
      out.printf("engine     %s%n", running.engine());
      out.printf("sandboxes  %d%n", capacity.path("sandboxes").asInt());
      for (JsonNode pool : capacity.path("pools")) {
        out.printf(
            "pool       %s: %d of %d ready%n",
            pool.path("template").asString(),
            pool.path("ready").asInt(),
            pool.path("target").asInt());
      }
    }
    return 0;
  }
}
