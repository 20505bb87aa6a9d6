package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.FileProblem;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.InWords;
import dev.podflare.cli.text.JsonText;
import dev.podflare.cli.text.Printable;
import dev.podflare.cli.text.Table;
import dev.podflare.cli.text.Version;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Builds, lists and deletes templates. */
@Command(
    name = "template",
    description = "Builds, lists and deletes what sandboxes are created from.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the field before a command runs.
final class TemplateCommand implements Runnable {

  private static final JsonMapper JSON = JsonMapper.shared();

  @Spec private CommandSpec spec;

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(), "Say what to do: podflare template build, list or delete");
  }

  @Command(
      name = "build",
      description = {
        "Builds a template, or its next version: packages, script and warm-up, in this order.",
        "What they say is shown as it comes. A build goes on when this command is interrupted;",
        "podflare template delete stops it. Ends with 0 if the template is ready."
      },
      mixinStandardHelpOptions = true,
      versionProvider = Version.class)
  int build(
      @Mixin ClientOptions client,
      @Parameters(paramLabel = "NAME", description = "What it shall be called.") String name,
      @Option(
              names = "--from",
              paramLabel = "TEMPLATE",
              defaultValue = "default",
              description = "What it is built on (default: ${DEFAULT-VALUE}).")
          String from,
      @Option(
              names = "--packages",
              paramLabel = "NAME",
              split = ",",
              description = "Packages of the guest's distribution, separated by commas.")
          @Nullable List<String> packages,
      @Option(
              names = "--script",
              paramLabel = "FILE",
              description = "bash, run as root with a way to the outside.")
          @Nullable Path script,
      @Option(
              names = "--warm",
              paramLabel = "FILE",
              description = "Python, run last; what it imports is there in every sandbox.")
          @Nullable Path warm,
      @Option(
              names = "--timeout",
              paramLabel = "SECONDS",
              description = "For all of it (default: 1800).")
          @Nullable Double timeout,
      @Option(names = "--cpus", description = "Virtual processors of its sandboxes.")
          @Nullable Integer cpus,
      @Option(
              names = "--memory",
              paramLabel = "MIB",
              description = "Memory of its sandboxes in MiB.")
          @Nullable Integer memory,
      @Option(names = "--disk", paramLabel = "MIB", description = "Their writable disk in MiB.")
          @Nullable Integer disk)
      throws CommandFailure {
    Map<String, Object> wanted = new HashMap<>();
    wanted.put("name", name);
    wanted.put("from", from);
    wanted.put("packages", packages);
    wanted.put("script", script == null ? null : read("--script", script));
    wanted.put("warm", warm == null ? null : read("--warm", warm));
    wanted.put("timeout_seconds", timeout);
    wanted.put("cpus", cpus);
    wanted.put("memory_mb", memory);
    wanted.put("disk_mb", disk);
    return show(client.api(), wanted);
  }

  private static String read(String option, Path file) throws CommandFailure {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new CommandFailure(
          option + " names a file that can't be read: " + FileProblem.of(file, e), e);
    }
  }

  private static int show(ServerApi api, Map<String, Object> wanted) throws CommandFailure {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    PrintStream err = new PrintStream(System.err, true, StandardCharsets.UTF_8);
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(api.stream("/v1/templates", wanted), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (line.isBlank()) {
          continue; // The heartbeat of a silent stream.
        }
        JsonNode event = JSON.readTree(line);
        JsonNode data = event.path("data");
        switch (event.path("type").asString("")) {
          case "stdout" -> out.print(data.asString());
          case "stderr" -> err.print(data.asString());
          case "result" -> out.println(data.path("text/plain").asString(""));
          case "exit" -> {
            return data.asInt();
          }
          default -> {}
        }
        out.flush();
      }
    } catch (IOException e) {
      throw new CommandFailure("the server broke off: " + e.getMessage(), e);
    }
    throw new CommandFailure(
        "the server broke off before the build had ended; podflare template list says what became"
            + " of it");
  }

  @Command(
      name = "list",
      description = "Lists the templates: those that every host has, then your own.",
      mixinStandardHelpOptions = true,
      versionProvider = Version.class)
  int list(
      @Mixin ClientOptions client,
      @Option(names = "--json", description = "As JSON, for programs.") boolean json)
      throws CommandFailure {
    List<JsonNode> templates = client.api().templates();
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(JsonText.of(JSON.valueToTree(templates)));
    } else {
      table(templates, Clock.systemUTC().instant()).printTo(out, client.style());
    }
    return 0;
  }

  @Command(
      name = "delete",
      description = {
        "Deletes templates of your own. Sandboxes that were created from them live on.",
        "A build that goes on is stopped."
      },
      mixinStandardHelpOptions = true,
      versionProvider = Version.class)
  int delete(
      @Mixin ClientOptions client,
      @Parameters(paramLabel = "NAME", arity = "1..*", description = "Which ones.")
          List<String> names)
      throws CommandFailure {
    ServerApi api = client.api();
    for (String name : names) {
      api.delete("/v1/templates/" + URLEncoder.encode(name, StandardCharsets.UTF_8));
      spec.commandLine().getErr().println("deleted " + name);
    }
    return 0;
  }

  static Table table(List<JsonNode> templates, Instant now) {
    Table table = new Table().head("TEMPLATE", "FROM", "VERSION", "STATE", "AGE", "");
    for (JsonNode template : templates) {
      JsonNode created = template.path("created_at");
      table.row(
          template.path("name").asString(),
          template.path("base").asString(""),
          template.path("builtin").asBoolean() ? "" : template.path("version").asString(),
          template.path("state").asString(),
          created.isNumber()
              ? InWords.age(Duration.between(Instant.ofEpochMilli(created.asLong()), now))
              : "",
          remark(template));
    }
    return table;
  }

  private static String remark(JsonNode template) {
    String error = template.path("error").asString("");
    if (!error.isEmpty()) {
      return Printable.line(error.lines().findFirst().orElse(""));
    }
    return template.path("stale").asBoolean()
        ? "its base has changed; build it again to follow"
        : "";
  }
}
