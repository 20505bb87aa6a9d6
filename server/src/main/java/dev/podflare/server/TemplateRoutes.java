package dev.podflare.server;

import dev.podflare.sandbox.BuildTemplate;
import dev.podflare.sandbox.CreateSandbox;
import dev.podflare.sandbox.ExecEvent;
import dev.podflare.sandbox.Sandboxes;
import dev.podflare.sandbox.TemplateBuild;
import dev.podflare.sandbox.TemplateInfo;
import dev.podflare.sandbox.ToldEvent;
import java.io.IOException;
import java.io.OutputStream;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;
import java.util.regex.Pattern;

/** Lists, builds and deletes templates. */
final class TemplateRoutes {

  private static final String NDJSON = "application/x-ndjson";
  private static final Pattern NAME = Pattern.compile("[a-z][a-z0-9-]{0,62}");

  /** A name as the distribution's policy has it, and a version of it if that is wanted. */
  private static final Pattern PACKAGE =
      Pattern.compile("[a-z0-9][a-z0-9+.-]{1,99}(=[A-Za-z0-9][A-Za-z0-9.+~:-]{0,99})?");

  private static final int MOST_PACKAGES = 200;
  private static final Duration LEAST_TIMEOUT = Duration.ofSeconds(1);
  private static final Duration DEFAULT_TIMEOUT = Duration.ofMinutes(30);
  private static final Duration MOST_TIMEOUT = Duration.ofHours(6);

  private final Sandboxes sandboxes;
  private final ServerMetrics metrics;

  private final Heartbeat heartbeat;

  TemplateRoutes(Sandboxes sandboxes, ServerMetrics metrics, Heartbeat heartbeat) {
    this.sandboxes = sandboxes;
    this.metrics = metrics;
    this.heartbeat = heartbeat;
  }

  List<Route> routes() {
    return List.of(
        Route.keyed("GET", "/v1/templates", this::list),
        Route.keyed("POST", "/v1/templates", this::build),
        Route.keyed("DELETE", "/v1/templates/{name}", this::delete));
  }

  private void list(Call call) {
    List<TemplateInfo> templates = sandboxes.templates(call.owner());
    call.json(json -> {
      json.writeStartObject();
      json.writeArrayPropertyStart("templates");
      templates.forEach(template -> TemplateJson.write(json, template));
      json.writeEndArray();
      json.writeEndObject();
    });
  }

  private void build(Call call) throws Exception {
    try (TemplateBuild build = sandboxes.buildTemplate(requested(call.owner(), call.body()))) {
      metrics.templateBuildStarted();
      // Closing this stream in a finally would end a broken answer as if it were whole.
      OutputStream out = call.stream(NDJSON, OptionalLong.empty());
      send(build, out);
      out.close();
    }
  }

  private void send(TemplateBuild build, OutputStream out)
      throws IOException, InterruptedException {
    boolean ended = false;
    while (!ended) {
      List<ToldEvent> batch = heartbeat.next(build::next, out);
      ExecEventJson.linesOf(batch).writeTo(out);
      ended = batch.getLast().event() instanceof ExecEvent.Exit;
      if (!ended) {
        out.flush();
      }
    }
  }

  private void delete(Call call) {
    String name =
        call.parameter("name")
            .filter(given -> NAME.matcher(given).matches())
            .orElseThrow(ApiError::noTemplate);
    sandboxes.deleteTemplate(call.owner(), name);
    call.noContent();
  }

  private static BuildTemplate requested(String owner, RequestBody body) {
    BuildTemplate requested =
        new BuildTemplate(
            owner,
            name("name", body.requiredText("name")),
            body.text("from")
                .map(base -> name("from", base))
                .orElse(CreateSandbox.DEFAULT_TEMPLATE),
            packages(body),
            body.text("script").filter(script -> !script.isBlank()),
            body.text("warm").filter(warm -> !warm.isBlank()),
            body.seconds("timeout_seconds", LEAST_TIMEOUT, MOST_TIMEOUT).orElse(DEFAULT_TIMEOUT),
            body.wholeNumber("cpus", 1),
            body.wholeNumber("memory_mb", 1),
            body.wholeNumber("disk_mb", 1));
    body.refuseOthers();
    return requested;
  }

  private static String name(String field, String given) {
    if (!NAME.matcher(given).matches()) {
      throw ApiError.badValue(
          field,
          "The field " + field + " is no name of a template.",
          "Names begin with a lower-case letter and have up to 63 lower-case letters, digits and"
              + " dashes.");
    }
    return given;
  }

  private static List<String> packages(RequestBody body) {
    List<String> packages = body.textList("packages").orElse(List.of());
    if (packages.size() > MOST_PACKAGES
        || !packages.stream().allMatch(one -> PACKAGE.matcher(one).matches())) {
      throw ApiError.badValue(
          "packages",
          "The field packages holds too many entries, or one that is no name of a package.",
          "Send up to "
              + MOST_PACKAGES
              + " names of packages of the guest's distribution, each as apt-get takes it: name or"
              + " name=version.");
    }
    return packages;
  }
}
