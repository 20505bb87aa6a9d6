package dev.podflare.server;

import dev.podflare.sandbox.Answered;
import dev.podflare.sandbox.Fork;
import dev.podflare.sandbox.Relative;
import dev.podflare.sandbox.SandboxId;
import dev.podflare.sandbox.Sandboxes;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import tools.jackson.core.JsonGenerator;

/** Forks a sandbox, and tells its family. */
final class ForkRoutes {

  private static final int MOST_CHILDREN = 100;
  private static final double NANOS_PER_MILLI = 1e6;

  private final Sandboxes sandboxes;
  private final Ownership ownership;
  private final ServerMetrics metrics;

  ForkRoutes(Sandboxes sandboxes, Ownership ownership, ServerMetrics metrics) {
    this.sandboxes = sandboxes;
    this.ownership = ownership;
    this.metrics = metrics;
  }

  List<Route> routes() {
    return List.of(
        Route.keyed("POST", "/v1/sandboxes/{id}/fork", this::fork),
        Route.keyed("GET", "/v1/sandboxes/{id}/family", this::family));
  }

  private void fork(Call call) {
    SandboxId parent = ownership.require(call);
    RequestBody body = call.body();
    int n = body.wholeNumber("n", 1, MOST_CHILDREN).orElse(1);
    body.refuseOthers();
    Answered<Fork> fork = sandboxes.fork(parent, n, call.once(body));
    if (!fork.before()) {
      metrics.forked(fork.what());
    }
    call.json(fork, json -> write(json, fork.what()));
  }

  private void family(Call call) {
    List<Relative> family = sandboxes.family(ownership.require(call));
    call.json(json -> write(json, family));
  }

  private static void write(JsonGenerator json, Fork fork) {
    json.writeStartObject();
    Json.texts(
        json, "children", fork.children().stream().map(child -> child.id().value()).toList());
    json.writeNumberProperty("pause_ms", millis(fork.pause()));
    json.writeNumberProperty("running_ms", millis(fork.running()));
    json.writeEndObject();
  }

  /** In thousandths, which is finer than it can be measured. */
  private static double millis(Duration duration) {
    return Math.round(duration.toNanos() / NANOS_PER_MILLI * 1000) / 1000.0;
  }

  private static void write(JsonGenerator json, List<Relative> family) {
    json.writeStartObject();
    Json.textOrNull(json, "family", family.stream().findFirst().map(first -> first.id().value()));
    json.writeArrayPropertyStart("sandboxes");
    family.forEach(relative -> write(json, relative));
    json.writeEndArray();
    json.writeEndObject();
  }

  private static void write(JsonGenerator json, Relative relative) {
    json.writeStartObject();
    json.writeStringProperty("id", relative.id().value());
    Json.textOrNull(json, "parent", relative.parent().map(SandboxId::value));
    json.writeNumberProperty("generation", relative.generation());
    json.writeNumberProperty("created_at", relative.createdAt().toEpochMilli());
    Optional<Instant> closedAt = relative.closedAt();
    if (closedAt.isPresent()) {
      json.writeNumberProperty("closed_at", closedAt.get().toEpochMilli());
    } else {
      json.writeNullProperty("closed_at");
    }
    Json.textOrNull(json, "end", relative.end());
    Json.texts(json, "metadata", relative.metadata());
    json.writeEndObject();
  }
}
