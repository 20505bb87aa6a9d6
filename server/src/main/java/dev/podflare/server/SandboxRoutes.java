package dev.podflare.server;

import dev.podflare.engine.Egress;
import dev.podflare.sandbox.Answered;
import dev.podflare.sandbox.CreateSandbox;
import dev.podflare.sandbox.SandboxId;
import dev.podflare.sandbox.SandboxInfo;
import dev.podflare.sandbox.SandboxPage;
import dev.podflare.sandbox.SandboxQuery;
import dev.podflare.sandbox.Sandboxes;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;

/** Create, look up, list and close sandboxes. */
final class SandboxRoutes {

  /** guest/agent/podflare_repl/auto_install.py reads it. */
  private static final String AUTO_INSTALL = "PODFLARE_AUTO_INSTALL";

  private static final Duration LEAST_TIMEOUT = Duration.ofSeconds(1);
  private static final Duration MOST_IDLE = Duration.ofDays(7);
  private static final Duration MOST_LIFETIME = Duration.ofDays(30);
  private static final Pattern TEMPLATE_NAME = Pattern.compile("[a-z0-9][a-z0-9._-]{0,63}");
  private static final int MAX_MARKS = 64;
  private static final int MAX_MARK_NAME = 128;
  private static final int MAX_MARK_VALUE = 1024;

  /** What the hosted service's clients send, and one host has no use for. */
  private static final Set<String> OF_THE_HOSTED_SERVICE = Set.of("region", "traceparent");

  private static final int DEFAULT_PAGE = 100;
  private static final int MOST_PAGE = 1000;

  private final Sandboxes sandboxes;
  private final Ownership ownership;
  private final ServerMetrics metrics;

  SandboxRoutes(Sandboxes sandboxes, Ownership ownership, ServerMetrics metrics) {
    this.sandboxes = sandboxes;
    this.ownership = ownership;
    this.metrics = metrics;
  }

  List<Route> routes() {
    return List.of(
        Route.keyed("POST", "/v1/sandboxes", this::create),
        Route.keyed("GET", "/v1/sandboxes", this::list),
        Route.keyed("GET", "/v1/sandboxes/{id}", this::get),
        Route.keyed("DELETE", "/v1/sandboxes/{id}", this::close));
  }

  private void create(Call call) throws Exception {
    RequestBody body = call.body();
    CreateSandbox request = requested(call.owner(), body);
    body.refuseOthers(OF_THE_HOSTED_SERVICE);
    Answered<SandboxInfo> made = sandboxes.create(request, call.once(body));
    if (!made.before()) {
      metrics.created();
    }
    call.json(made, json -> SandboxJson.write(json, made.what()));
  }

  private void list(Call call) {
    Query query = call.query();
    SandboxPage page =
        sandboxes.list(
            new SandboxQuery(
                call.owner(),
                query.text("template"),
                query.text("state").map(SandboxRoutes::state),
                query.withPrefix("metadata."),
                query.text("cursor").map(SandboxRoutes::cursor),
                query.text("limit").map(SandboxRoutes::limit).orElse(DEFAULT_PAGE)));
    call.json(json -> {
      json.writeStartObject();
      json.writeArrayPropertyStart("sandboxes");
      page.sandboxes().forEach(info -> SandboxJson.write(json, info));
      json.writeEndArray();
      Json.textOrNull(json, "next_cursor", page.next().map(SandboxId::value));
      json.writeEndObject();
    });
  }

  private void get(Call call) {
    SandboxInfo info = sandboxes.require(ownership.require(call));
    call.json(json -> SandboxJson.write(json, info));
  }

  private void close(Call call) {
    sandboxes.close(ownership.require(call));
    call.noContent();
  }

  private static CreateSandbox requested(String owner, RequestBody body) {
    return new CreateSandbox(
        owner,
        body.text("template")
            .map(SandboxRoutes::templateName)
            .orElse(CreateSandbox.DEFAULT_TEMPLATE),
        egress(body),
        body.flag("persistent").orElse(false),
        body.seconds("idle_timeout_seconds", LEAST_TIMEOUT, MOST_IDLE),
        body.seconds("max_lifetime_seconds", LEAST_TIMEOUT, MOST_LIFETIME),
        body.wholeNumber("cpus", 1),
        body.wholeNumber("memory_mb", 1),
        body.wholeNumber("disk_mb", 1),
        environment(body),
        metadata(body));
  }

  /** What the caller gives, and the word by which the guest knows that it may install packages. */
  private static Map<String, String> environment(RequestBody body) {
    Map<String, String> env = Environment.of(body);
    if (!body.flag("auto_install").orElse(false)) {
      return env;
    }
    Map<String, String> all = new LinkedHashMap<>(env);
    all.put(AUTO_INSTALL, "1");
    return all;
  }

  private static String templateName(String name) {
    if (!TEMPLATE_NAME.matcher(name).matches()) {
      throw ApiError.badValue(
          "template",
          "The field template is no name of a template.",
          "Names are up to 64 lower-case letters, digits, dots, dashes and underscores.");
    }
    return name;
  }

  private static Egress egress(RequestBody body) {
    Optional<JsonNode> value = body.value("egress");
    if (value.isPresent() && value.get().isObject()) {
      throw ApiError.of(
          ErrorCode.EGRESS_ALLOW_LIST_UNSUPPORTED,
          "egress",
          "An egress allow list is not supported yet.",
          "Send true for the outside without the host's own networks, or false for nothing.");
    }
    if (value.isPresent() && !value.get().isBoolean()) {
      throw RequestBody.wrongType(
          "egress",
          value.get(),
          "true, false or an object such as {\"allow\": [\"*.example.org\"]}");
    }
    return body.flag("egress").orElse(true) ? new Egress.Outside() : new Egress.Nothing();
  }

  private static Map<String, String> metadata(RequestBody body) {
    Map<String, String> metadata = body.texts("metadata");
    if (metadata.size() > MAX_MARKS) {
      throw ApiError.badValue(
          "metadata",
          "The field metadata has more than " + MAX_MARKS + " entries.",
          "Keep the rest in your own records, under the sandbox's id.");
    }
    metadata.forEach((name, value) -> {
      if (name.isEmpty() || name.length() > MAX_MARK_NAME || value.length() > MAX_MARK_VALUE) {
        throw ApiError.badValue(
            "metadata",
            "The field metadata holds a name or a value that is too long, or an empty name.",
            "Names have 1 to 128 characters, values at most 1024.");
      }
    });
    return metadata;
  }

  private static SandboxInfo.State state(String word) {
    return Arrays.stream(SandboxInfo.State.values())
        .filter(state -> Json.word(state).equals(word))
        .findFirst()
        .orElseThrow(() ->
            ApiError.badValue(
                "state",
                "The query parameter state is no state of a sandbox.",
                "Send one of: "
                    + Arrays.stream(SandboxInfo.State.values())
                        .map(Json::word)
                        .collect(Collectors.joining(", "))
                    + "."));
  }

  private static SandboxId cursor(String text) {
    return SandboxId.parse(text)
        .orElseThrow(() ->
            ApiError.badField(
                "cursor",
                "The query parameter cursor comes from no list.",
                "Send the next_cursor of the page before, or leave it out."));
  }

  private static int limit(String text) {
    int limit;
    try {
      limit = Integer.parseInt(text);
    } catch (NumberFormatException e) {
      throw ApiError.badField(
          "limit",
          "The query parameter limit must be a whole number.",
          "Send a number from 1 to " + MOST_PAGE + ".");
    }
    if (limit < 1 || limit > MOST_PAGE) {
      throw ApiError.badValue(
          "limit",
          "The query parameter limit is out of range.",
          "Send a number from 1 to " + MOST_PAGE + ".");
    }
    return limit;
  }
}
