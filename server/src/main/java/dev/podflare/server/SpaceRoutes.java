package dev.podflare.server;

import dev.podflare.sandbox.Answered;
import dev.podflare.sandbox.SandboxInfo;
import dev.podflare.sandbox.Sandboxes;
import dev.podflare.sandbox.SpaceId;
import dev.podflare.sandbox.SpaceInfo;
import java.util.List;

/** Freezes sandboxes into Spaces, wakes them again, lists and deletes Spaces. */
final class SpaceRoutes {

  private final Sandboxes sandboxes;
  private final Ownership ownership;
  private final ServerMetrics metrics;

  SpaceRoutes(Sandboxes sandboxes, Ownership ownership, ServerMetrics metrics) {
    this.sandboxes = sandboxes;
    this.ownership = ownership;
    this.metrics = metrics;
  }

  List<Route> routes() {
    return List.of(
        Route.keyed("POST", "/v1/sandboxes/{id}/freeze", this::freeze),
        Route.keyed("GET", "/v1/spaces", this::list),
        Route.keyed("GET", "/v1/spaces/{id}", this::get),
        Route.keyed("DELETE", "/v1/spaces/{id}", this::delete),
        Route.keyed("POST", "/v1/spaces/{id}/resume", this::resume));
  }

  private void freeze(Call call) {
    SpaceInfo space = sandboxes.freeze(ownership.require(call));
    metrics.froze();
    call.json(json -> {
      json.writeStartObject();
      json.writeStringProperty("space", space.id().value());
      SpaceJson.writeFields(json, space);
      json.writeEndObject();
    });
  }

  private void list(Call call) {
    List<SpaceInfo> spaces = sandboxes.spaces(call.owner());
    call.json(json -> {
      json.writeStartObject();
      json.writeArrayPropertyStart("spaces");
      spaces.forEach(space -> SpaceJson.write(json, space));
      json.writeEndArray();
      json.writeEndObject();
    });
  }

  private void get(Call call) {
    SpaceInfo space =
        sandboxes.findSpace(ownership.requireSpace(call)).orElseThrow(ApiError::noSpace);
    call.json(json -> SpaceJson.write(json, space));
  }

  private void delete(Call call) {
    sandboxes.deleteSpace(ownership.requireSpace(call));
    call.noContent();
  }

  private void resume(Call call) {
    SpaceId space = ownership.requireSpace(call);
    RequestBody body = call.body();
    body.refuseOthers();
    Answered<SandboxInfo> resumed = sandboxes.resume(space, call.once(body));
    if (!resumed.before()) {
      metrics.resumed();
    }
    call.json(resumed, json -> SandboxJson.write(json, resumed.what()));
  }
}
