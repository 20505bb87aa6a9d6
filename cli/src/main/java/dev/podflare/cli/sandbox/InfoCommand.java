package dev.podflare.cli.sandbox;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.InWords;
import dev.podflare.cli.text.JsonText;
import dev.podflare.cli.text.Printable;
import dev.podflare.cli.text.Style;
import dev.podflare.cli.text.Version;
import java.io.PrintWriter;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;

/** Shows one sandbox. */
@Command(
    name = "info",
    aliases = {"inspect"},
    description = "Shows what is known of a sandbox: state, time left, limits, network, marks.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
public final class InfoCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(paramLabel = "ID", description = "The sandbox: its name, or id, cut short or not.")
  private String sandbox;

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    JsonNode info = api.get("/v1/sandboxes/" + new Names(api).sandbox(sandbox));
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(JsonText.of(info));
    } else {
      print(info, Clock.systemUTC().instant(), client.style(), out);
    }
    return 0;
  }

  static void print(JsonNode info, Instant now, Style style, PrintWriter out) {
    line(out, "sandbox", style.bold(info.path("id").asString()));
    String name = info.path("metadata").path(Names.NAME).asString("");
    if (!name.isEmpty()) {
      line(out, "name", Printable.line(name));
    }
    line(out, "state", style.state(info.path("state").asString()));
    line(out, "template", info.path("template").asString());
    line(out, "isolation", info.path("isolation").asString());
    line(out, "age", since(info.path("created_at"), now));
    line(out, "last used", since(info.path("last_used_at"), now) + " ago");
    String left = InWords.timeLeft(info, now);
    String idle = InWords.age(Duration.ofSeconds(info.path("idle_timeout_seconds").asLong()));
    String then = info.path("persistent").asBoolean() ? "freezes" : "is closed";
    line(
        out,
        "idle",
        "%s after %s without use%s".formatted(then, idle, left.isEmpty() ? "" : "; in " + left));
    line(
        out,
        "lifetime",
        info.path("max_lifetime_seconds").isNumber()
            ? InWords.age(Duration.ofSeconds(info.path("max_lifetime_seconds").asLong()))
            : "unlimited");
    line(
        out,
        "machine",
        "%s CPU, %s MiB memory, %s MiB disk"
            .formatted(
                info.path("cpus").asString(),
                info.path("memory_mb").asString(),
                info.path("disk_mb").asString()));
    line(
        out,
        "used",
        "%s of host memory, %.1f s of CPU time"
            .formatted(
                InWords.bytes(info.path("memory_used_bytes").asLong()),
                info.path("cpu_time_ms").asLong() / 1000.0));
    line(out, "egress", egress(info.path("egress")));
    line(
        out,
        "family",
        info.path("parent").isString()
            ? "forked from %s, generation %s"
                .formatted(info.path("parent").asString(), info.path("generation").asString())
            : "first of its family");
    for (Map.Entry<String, JsonNode> mark : info.path("metadata").properties()) {
      if (!mark.getKey().equals(Names.NAME)) {
        line(out, "metadata", Printable.line(mark.getKey() + "=" + mark.getValue().asString("")));
      }
    }
  }

  private static String egress(JsonNode egress) {
    if (egress.isBoolean()) {
      return egress.asBoolean() ? "to the internet" : "none";
    }
    return "only to " + Printable.line(egress.path("allow").toString());
  }

  private static String since(JsonNode millis, Instant now) {
    return InWords.age(Duration.between(Instant.ofEpochMilli(millis.asLong()), now));
  }

  private static void line(PrintWriter out, String what, String value) {
    out.printf("%-10s %s%n", what, value);
  }
}
