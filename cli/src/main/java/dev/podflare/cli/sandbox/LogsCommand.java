package dev.podflare.cli.sandbox;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.EventPrinter;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.Printable;
import dev.podflare.cli.text.Style;
import dev.podflare.cli.text.Version;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;

/** Shows what execs have said. */
@Command(
    name = "logs",
    description = {
      "Shows the code that ran in a sandbox, and what it said, oldest first, as far as that is kept"
          + " (the last 32 execs, 64 MiB).",
      "With an EXEC, that one's output alone."
    },
    footer = {"", "Examples:", "  podflare logs -f worker", "  podflare logs ID --last 3"},
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
public final class LogsCommand implements Callable<Integer> {

  private static final long LOOK_MILLIS = 500;
  private static final int MAX_CODE = 100;
  private static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("HH:mm:ss", Locale.ROOT).withZone(ZoneId.systemDefault());

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(
      index = "0",
      paramLabel = "ID",
      description = "The sandbox: its name, or id, cut short or not.")
  private String sandbox;

  @Parameters(
      index = "1",
      paramLabel = "EXEC",
      arity = "0..1",
      description = "One of its execs; an id may be cut short.")
  private @Nullable String exec;

  @Option(
      names = {"-f", "--follow"},
      description = "Go on with what is said from now on, until Ctrl-C, or the sandbox's end.")
  private boolean follow;

  @Option(
      names = {"-n", "--last"},
      paramLabel = "N",
      description = "Only the last N execs.")
  private @Nullable Integer last;

  @Option(names = "--json", description = "Print the events as JSON, one a line.")
  private boolean json;

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    Names names = new Names(api);
    String id = names.sandbox(sandbox);
    String one = exec;
    if (one != null) {
      show(api, id, names.exec(id, one));
      return 0;
    }
    List<JsonNode> known = api.execs(id);
    Integer limit = last;
    int skipped = limit == null ? 0 : Math.max(0, known.size() - Math.max(0, limit));
    String newest = "";
    for (JsonNode each : known.subList(skipped, known.size())) {
      newest = each.path("id").asString();
      if (follow || each.path("state").asString().equals("ended")) {
        head(each);
        show(api, id, newest);
      }
    }
    while (follow) {
      newest = showBehind(api, id, newest);
      pause();
    }
    return 0;
  }

  /** Those that have come since; the execs of a sandbox are listed in their order. */
  private String showBehind(ServerApi api, String id, String newest) throws CommandFailure {
    List<JsonNode> known = api.execs(id);
    int seen = Names.ids(known).lastIndexOf(newest);
    String shown = newest;
    for (JsonNode each : known.subList(seen + 1, known.size())) {
      shown = each.path("id").asString();
      head(each);
      show(api, id, shown);
    }
    return shown;
  }

  private static void pause() {
    try {
      TimeUnit.MILLISECONDS.sleep(LOOK_MILLIS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void show(ServerApi api, String id, String exec) throws CommandFailure {
    var _ =
        EventPrinter.of(json)
            .print(api.stream("/v1/sandboxes/" + id + "/execs/" + exec + "/stream?from=0"));
  }

  private void head(JsonNode exec) {
    if (json) {
      return;
    }
    Style style = client.style();
    String code = Printable.line(exec.path("code").asString("").strip());
    String shown =
        code.codePointCount(0, code.length()) <= MAX_CODE
            ? code
            : code.substring(0, code.offsetByCodePoints(0, MAX_CODE)) + "…";
    spec.commandLine()
        .getErr()
        .println(
            style.faint(
                "%s %s> %s"
                    .formatted(
                        TIME.format(Instant.ofEpochMilli(exec.path("created_at").asLong())),
                        exec.path("language").asString(),
                        shown)));
    spec.commandLine().getErr().flush();
  }
}
