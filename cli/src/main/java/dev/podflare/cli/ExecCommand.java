package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;

/** Runs code from the command line. */
@Command(
    name = "exec",
    description = {
      "Runs code in a sandbox, and ends with its exit code.",
      "Without --sandbox, in a new one that is closed afterwards."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class ExecCommand implements Callable<Integer> {

  /** What code may be run in. */
  enum Language {
    PYTHON,
    BASH
  }

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Option(
      names = {"-l", "--language"},
      description = "python or bash (default: ${DEFAULT-VALUE}).")
  private Language language = Language.PYTHON;

  @Option(
      names = "--sandbox",
      paramLabel = "ID",
      description = "An open sandbox to run it in; an id may be cut short.")
  private @Nullable String sandbox;

  @Option(names = "--template", description = "The template of a new sandbox.")
  private String template = "default";

  @Option(
      names = "--timeout",
      paramLabel = "SECONDS",
      description = "Interrupt the code after so long.")
  private @Nullable Double timeout;

  @Option(
      names = "--detach",
      description = "Print the exec's id, and let the code run; needs --sandbox.")
  private boolean detach;

  @Option(
      names = "--background",
      description = "The same for bash that runs beside all others, not in its turn.")
  private boolean background;

  @Parameters(paramLabel = "CODE", description = "The code; - reads it from standard input.")
  private String code;

  @Override
  public Integer call() throws CommandFailure {
    String given = sandbox;
    boolean isLeft = detach || background;
    if (isLeft && given == null) {
      throw new CommandLine.ParameterException(
          spec.commandLine(), "--detach and --background need --sandbox, which stays open.");
    }
    ServerApi api = client.api();
    if (given != null) {
      String id = new Names(api).sandbox(given);
      return isLeft ? detach(api, id) : run(api, id);
    }
    String id = api.post("/v1/sandboxes", Map.of("template", template)).path("id").asString();
    try {
      return run(api, id);
    } finally {
      api.delete("/v1/sandboxes/" + id);
    }
  }

  private int run(ServerApi api, String id) throws CommandFailure {
    Map<String, Object> body = body();
    try (InputStream events = api.stream("/v1/sandboxes/" + id + "/exec", body)) {
      return EventPrinter.print(events);
    } catch (IOException e) {
      throw EventPrinter.brokeOff(e);
    }
  }

  private int detach(ServerApi api, String id) throws CommandFailure {
    Map<String, Object> body = body();
    body.put(background ? "background" : "detach", true);
    JsonNode answer = api.post("/v1/sandboxes/" + id + "/exec", body);
    spec.commandLine().getOut().println(answer.path("exec").asString());
    return 0;
  }

  private Map<String, Object> body() throws CommandFailure {
    Map<String, Object> body = new HashMap<>();
    body.put("language", language.name().toLowerCase(Locale.ROOT));
    try {
      body.put(
          "code",
          code.equals("-") ? new String(System.in.readAllBytes(), StandardCharsets.UTF_8) : code);
    } catch (IOException e) {
      throw new CommandFailure("standard input can't be read: " + e.getMessage(), e);
    }
    Double limit = timeout;
    if (limit != null) {
      body.put("timeout_seconds", limit);
    }
    return body;
  }
}
